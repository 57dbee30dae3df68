"""`python -m pyro_events._app.tap --es URI`: shows a page some of what flows, as bounded text.

Lines of JSON on standard input choose what: `{"topics": {NAME: PATTERN}}` replaces everything, and
`{"whole": N}` asks for all of a message. On standard output come, five times a second,
`{"events": [{"n", "time", "subject", "text", "truncated", "topics"}], "missed": {NAME: COUNT}}`,
and `{"whole": N, "text": …}`, null if it isn't kept any more. It ends with its input.

It holds nobody: its queue is short, and loses the oldest. Classes of others are never made.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import signal
import sys
import threading
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, Final

from pyro_child.errors import describe
from pyro_events import codec
from pyro_events._app.shown import Brief, shown
from pyro_events._app.tool import add_connection_options, ident_of, tls_of
from pyro_events.errors import EventServiceError
from pyro_events.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyro_events._protocol.event import Event, Undecodable
    from pyro_events.types import GapNotice

QUEUE_SIZE: Final = 200
INTERVAL: Final = 0.2
"""Seconds between two lines of events."""
MOST_EVENTS: Final = 10
"""Of one topic in one line: fifty a second."""
MOST_KEPT: Final = 1000
MOST_KEPT_CHARACTERS: Final = 8 << 20
SHORT: Final = 2000
"""Characters of a message at first."""
WHOLE: Final = 1 << 20


class Tap(Subscriber):
    """Receives what any topic wants, and keeps what it has shown."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(
            options.es,
            ident=ident_of(options),
            tls=tls_of(options),
            name="page",
            queue_size=QUEUE_SIZE,
            when_full="drop-oldest",
            once=True,
        )
        self._lock = threading.Lock()
        self._topics: dict[str, re.Pattern[str]] = {}
        self._events: list[dict[str, Any]] = []
        self._counts: Counter[str] = Counter()
        self._missed: Counter[str] = Counter()
        self._kept: OrderedDict[int, str] = OrderedDict()
        self._size = 0
        self._number = 0

    def choose(self, topics: Mapping[str, str]) -> None:
        """Want these patterns, and no others; raises ValueError for a pattern that isn't valid."""
        wanted = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in topics.items()}
        with self._lock:
            before = {pattern.pattern for pattern in self._topics.values()}
        after = {pattern.pattern for pattern in wanted.values()}
        if new := sorted(after - before):
            self.subscribeMatch(new)
        with self._lock:
            self._topics = wanted
        if gone := sorted(before - after):
            self.unsubscribe(gone)

    def event(self, event: Event) -> None:
        """Show an event to those that want it, or count it."""
        self._add(event.subject, event.time, lambda longest: shown(event.msg, longest))

    def gap(self, notice: GapNotice) -> None:
        """Count what came faster than we took it; all topics may have missed it."""
        with self._lock:
            for name in self._topics:
                self._missed[name] += notice.get("missed") or 1

    def _report_undecodable(self, event: Undecodable) -> None:
        self._add(event.subject, None, lambda _: (f"({event.reason})", False))

    def _add(self, subject: str, time: float | None, text: Any) -> None:
        with self._lock:
            names = [name for name, pattern in self._topics.items() if pattern.match(subject)]
            free = [name for name in names if self._counts[name] < MOST_EVENTS]
            self._missed.update(name for name in names if name not in free)
            if not free:
                return
            self._counts.update(free)
            self._number += 1
            brief, truncated = text(SHORT)
            self._events.append({
                "n": self._number, "time": time, "subject": subject[:SHORT], "text": brief,
                "truncated": truncated, "topics": free,
            })  # fmt: skip
            if truncated:
                self._keep(text(WHOLE)[0])

    def _keep(self, whole: str) -> None:
        self._kept[self._number] = whole
        self._size += len(whole)
        while len(self._kept) > MOST_KEPT or self._size > MOST_KEPT_CHARACTERS:
            self._size -= len(self._kept.popitem(last=False)[1])

    def take(self) -> dict[str, Any] | None:
        """Return the next line of events; None if there is nothing to tell."""
        with self._lock:
            if not self._events and not self._missed:
                return None
            line = {"events": self._events, "missed": dict(self._missed)}
            self._events = []
            self._counts.clear()
            self._missed.clear()
            return line

    def whole(self, number: int) -> str | None:
        """Return all of a message that was cut."""
        with self._lock:
            return self._kept.get(number)


def _write(value: object) -> None:
    print(json.dumps(value, separators=(",", ":")), flush=True)  # noqa: T201 - read by the page


def _report(tap: Tap, ended: threading.Event) -> None:
    while not ended.wait(INTERVAL):
        line = tap.take()
        if line is not None:
            try:
                _write(line)
            except OSError:  # the page has gone
                tap.abort()
                return


def _obey(tap: Tap) -> None:
    """Carry out what comes on standard input, until it ends."""
    for text in sys.stdin:
        try:
            wanted = json.loads(text)
            if "topics" in wanted:
                tap.choose(wanted["topics"])
            if "whole" in wanted:
                _write({"whole": wanted["whole"], "text": tap.whole(wanted["whole"])})
        except (ValueError, re.error, OSError, EventServiceError) as error:
            _write({"error": describe(error)})
    tap.abort()


def register_briefly() -> None:
    """Have arrays shown by shape and dtype, without numpy."""
    for name in (
        "ndarray",
        "str",
        "bytes",
        *(f"scalar.{char}" for char in "?bhilqBHILQefdgFDGVMm"),
    ):
        kind = type(f"numpy_{name}", (), {})
        codec.register(kind, f"numpy.{name}", _no_state, _array)


def _no_state(_: object) -> dict[str, Any]:
    return {}


def _array(state: Mapping[str, Any]) -> Brief:
    shape: Sequence[Any] = state.get("shape", ())
    sizes = "×".join(str(size)[:20] for size in shape[:8]) or "scalar"
    return Brief(f"array({sizes}, {str(state.get('dtype', 'text'))[:80]})")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the input ends; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pyro_events._app.tap", description=__doc__)
    add_connection_options(parser)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    register_briefly()
    ended = threading.Event()
    try:
        with Tap(options) as tap:
            threading.Thread(target=_report, args=(tap, ended), daemon=True).start()
            threading.Thread(target=_obey, args=(tap,), daemon=True).start()
            with contextlib.suppress(KeyboardInterrupt):
                tap.listen()
    except (EventServiceError, ValueError, TypeError, OSError) as error:
        _write({"error": describe(error)})
        return 1
    finally:
        ended.set()
    return 0


if __name__ == "__main__":
    sys.exit(main())
