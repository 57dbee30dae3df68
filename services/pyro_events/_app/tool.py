"""`python -m pyro_events._app.tool publish|listen`: events from and for the command line.

What `pyroctl es publish` and `pyroctl es listen` execute; works with any event service by its URI.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyro_child.errors import describe, shortage
from pyro_events.errors import EventServiceError
from pyro_events.ident import read_ident
from pyro_events.publisher import Publisher
from pyro_events.subscriber import Subscriber
from pyro_events.tls import Tls
from pyro_wire.tls.files import TlsFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._protocol.event import Event, Undecodable
    from pyro_events.types import ConnectionNotice, GapNotice

INTERRUPTED = 130
QUEUE_SIZE = 1000
"""Events that may wait for a slow terminal; then the oldest are dropped, and counted."""


class Printer(Subscriber):
    """Prints each event as it comes, a line each; ends after `count`."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(
            options.es,
            ident=ident_of(options),
            tls=tls_of(options),
            name="pyroctl es listen",
            queue_size=QUEUE_SIZE,
            when_full="drop-oldest",
        )
        self._json = options.json
        self._quiet = options.rate
        self._left = options.count
        self.seen = 0
        self.missed = 0
        self.failure: OSError | None = None

    def event(self, event: Event) -> None:
        """Print one event."""
        if not self._quiet:
            try:
                line = json_line(event) if self._json else text_line(event)
            except RecursionError:
                warn(f"an event about {event.subject!r} can't be shown: it is nested too deeply")
            else:
                self.write(line)
        self._count_event()

    def _report_undecodable(self, event: Undecodable) -> None:
        """Count an event of a class that isn't known here, too, and print what can be."""
        if not self._quiet:
            warn(f"an event about {event.subject!r} can't be shown: {event.reason}")
        self._count_event()

    def _count_event(self) -> None:
        self.seen += 1
        if self._left is not None and self.seen >= self._left:
            self.abort()

    def gap(self, notice: GapNotice) -> None:
        """Report what was missed."""
        missed = notice.get("missed")
        what = "some events" if missed is None else "1 event" if missed == 1 else f"{missed} events"
        self.missed += missed or 0
        total = f" ({self.missed} so far)" if self.missed != missed and missed else ""
        why = (
            "they came faster than they were read"
            if notice["reason"] == "full"
            else notice["reason"]
        )
        warn(f"missed {what}{total}: {why}")

    def disconnected(self, notice: ConnectionNotice) -> None:
        """Report that no events arrive at the moment."""
        reason = notice.get("reason")
        warn(f"disconnected: {reason}; reconnecting")

    def write(self, line: str) -> None:
        """Print a line at once; end if the reader has gone, or nothing can be written."""
        try:
            print(line, flush=True)  # noqa: T201 - the command's output
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.failure = error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.abort()


def warn(text: str) -> None:
    """Print a line for people."""
    with contextlib.suppress(OSError):
        print(_one_line(text), file=sys.stderr, flush=True)  # noqa: T201 - the command's output


def json_line(event: Event) -> str:
    """Return an event as JSON; values that JSON can't express become text, NaN becomes null."""
    value = {"subject": event.subject, "time": event.time, "msg": _jsonable(event.msg)}
    return json.dumps(value, default=str)


def _jsonable(value: Any) -> Any:
    value = _brief(value)
    if isinstance(value, dict):
        plain = (str, int, float, bool, type(None))
        return {k if isinstance(k, plain) else str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(map(_jsonable, value))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _readable(value: Any) -> Any:
    """Return the value with everything within it in brief."""
    value = _brief(value)
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(map(_readable, value))
    return value


class _Brief(str):
    """A text that stands for a value, and is shown without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _brief(value: Any) -> Any:
    """Return shape and dtype for numpy's arrays, Python's values for its scalars."""
    np = sys.modules.get("numpy")
    if np is None or not isinstance(value, (np.ndarray, np.generic)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    shape = "×".join(map(str, value.shape)) or "scalar"
    return _Brief(f"array({shape}, {value.dtype})")


def _one_line(text: str) -> str:
    """Return the text with escapes for what would control a terminal, or begin another line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def text_line(event: Event) -> str:
    """Return an event for people: time, subject and message."""
    when = datetime.fromtimestamp(event.time, UTC).astimezone().isoformat(timespec="milliseconds")
    message = event.msg if isinstance(event.msg, str) else repr(_readable(event.msg))
    return _one_line(f"{when} {event.subject} {message}")


def publish(options: argparse.Namespace) -> int:
    """Publish one message; return when the event service has it."""
    message = json.loads(options.text) if options.as_json else options.text
    with Publisher(options.es, ident=ident_of(options), tls=tls_of(options)) as publisher:
        publisher.publish(options.subject, message)
    return 0


def listen(options: argparse.Namespace) -> int:
    """Print events until interrupted, or until `count` is reached."""
    with contextlib.suppress(ImportError):
        from pyro_events import numpy_codec  # noqa: PLC0415 - if numpy is there

        numpy_codec.register()
    with Printer(options) as printer:
        if options.subjects:
            printer.subscribe(options.subjects)
        if options.match or not options.subjects:
            printer.subscribeMatch(options.match or [".*"])
        ended = threading.Event()
        if options.rate:
            threading.Thread(target=_print_rate, args=(printer, ended, options.json)).start()
        try:
            printer.listen()
        finally:
            ended.set()
        if printer.failure is not None:
            raise printer.failure
    return 0


def _print_rate(printer: Printer, ended: threading.Event, as_json: bool) -> None:
    """Print once a second how many events arrived, and how many in all."""
    before, then = 0, time.monotonic()
    while not ended.wait(1.0):
        seen, now = printer.seen, time.monotonic()
        rate = round((seen - before) / (now - then), 1)
        before, then = seen, now
        value = {"rate": rate, "total": seen, "missed": printer.missed}
        printer.write(json.dumps(value) if as_json else f"{rate:g}/s, {seen} in all")


def ident_of(options: argparse.Namespace) -> str | None:
    """Return the identification in the file that the options name."""
    return None if options.ident_file is None else read_ident(options.ident_file)


def tls_of(options: argparse.Namespace) -> Tls | None:
    """Return the files for TLS; those that are not given are chosen as by a service here."""
    if not options.tls:
        return None
    given = options.tls_certificate, options.tls_key, options.tls_ca
    return Tls(*TlsFiles.chosen(*given, None, host="localhost", environ=os.environ)[:3])


def add_connection_options(to: argparse.ArgumentParser) -> None:
    """Add the options of everything that connects to an event service."""
    to.add_argument("--es", metavar="URI", help="the event service; default: by name")
    to.add_argument("--ident-file", metavar="FILE", help="has the identification")
    to.add_argument("--tls", action="store_true", help="connect with TLS")
    for name in ("certificate", "key", "ca"):
        to.add_argument(f"--tls-{name}", metavar="FILE", help="as of es(1)")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    shared = argparse.ArgumentParser(add_help=False)
    add_connection_options(shared)
    text = argparse.ArgumentParser(prog="python -m pyro_events._app.tool", description=__doc__)
    commands = text.add_subparsers(required=True)
    one = commands.add_parser("publish", parents=[shared], help="publish a message")
    one.add_argument("subject")
    one.add_argument("text")
    one.add_argument("--as-json", action="store_true", help="parse TEXT as JSON and send the value")
    one.set_defaults(run=publish)
    many = commands.add_parser("listen", parents=[shared], help="print events as they come")
    many.add_argument("subjects", nargs="*", metavar="SUBJECT")
    many.add_argument("--match", action="append", default=[], metavar="PATTERN")
    many.add_argument("--count", type=int, metavar="N", help="end after N events")
    many.add_argument("--rate", action="store_true", help="print events per second instead")
    many.add_argument("--json", action="store_true", help="print a JSON object a line")
    many.set_defaults(run=listen)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = parser().parse_args(arguments)
    for name in ("stdout", "stderr"):  # closed ones are missing; no locale has all characters
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - for good
        getattr(sys, name).reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, {signal.SIGINT}
        )  # blocked by the process that started us
        return int(options.run(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except json.JSONDecodeError as error:
        return _fail(f"TEXT is not JSON: {error}")
    except (EventServiceError, ValueError, TypeError, OSError) as error:
        return _fail((shortage(error) or describe(error)) + _locale_hint(options))


def _locale_hint(options: argparse.Namespace) -> str:
    """Return what to do about words that Python couldn't decode, since the locale isn't UTF-8."""
    if sys.getfilesystemencoding() == "utf-8" or "\\udc" not in ascii(vars(options)):
        return ""
    return "; the locale isn't UTF-8: set PYTHONUTF8=1 or LC_ALL=C.UTF-8"


def _fail(message: str) -> int:
    warn(message)
    return 1


if __name__ == "__main__":
    sys.exit(main())
