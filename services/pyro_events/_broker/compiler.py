"""Compiles patterns on a thread, so that no client waits for another one's.

Compiling is Python code, and takes 0.2 ms for an everyday pattern and 20 ms for the worst one that
is allowed. The thread does a slice of each call in turn, and rests as long as it has worked:
otherwise the loop would wait for the interpreter's lock at every system call.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from Pyro5.errors import PyroError

from pyro_events._broker.delivery.publication import PendingResult
from pyro_events._protocol.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.net.loop import Loop
    from pyro_events._broker.router import Router

    Use = Callable[[tuple[Pattern, ...]], object]

COMPILE_TIME: Final = 2.0
"""Seconds of processor time for the patterns of one call: 10,000 everyday ones."""
_SLICE: Final = 0.002
"""Seconds of processor time for one call before it is another one's turn."""
_LAST_ONE: Final = 0.5
"""Seconds for the pattern that is being compiled when everything ends."""

_log = logging.getLogger("pyro_events")


@dataclass(slots=True, eq=False)
class _Job:
    """The patterns of one call; `known` has those that are compiled."""

    texts: Sequence[str]
    known: dict[str, Pattern]
    use: Use
    result: PendingResult = field(default_factory=PendingResult)
    seconds: float = 0.0
    error: Exception | None = None

    def advance(self) -> bool:
        """Compile for a slice of time; return whether nothing is left to do."""
        began = time.thread_time()
        before = self.seconds
        for text in self.texts:
            if text in self.known:
                continue
            if self.seconds > before + _SLICE:
                return False
            if self.seconds > COMPILE_TIME:
                raise ValueError(
                    f"pattern {text[:80]!r} is refused: the ones before it took {COMPILE_TIME:g} s "
                    "to compile, the most that one call may take; "
                    "subscribe in several calls, or to simpler patterns"
                )
            self.known[text] = Pattern(text)
            self.seconds = before + time.thread_time() - began
        return True

    def finish(self) -> None:
        """Use the patterns, and finish the result with the outcome."""
        if self.error is None:
            try:
                value = self.use(tuple(self.known[text] for text in self.texts))
            except Exception as error:  # noqa: BLE001 - it is sent to the caller
                if not isinstance(error, (ValueError, TypeError, PyroError)):
                    _log.exception("error after compiling patterns")
                self.error = error
        if self.error is None:
            self.result.finish(value)
        else:
            self.result.fail(self.error)


class PatternCompiler:
    """Compiles what nobody is subscribed to yet. For the loop's thread."""

    def __init__(self, loop: Loop, compiled: Callable[[str], Pattern | None]) -> None:
        self._loop = loop
        self._compiled = compiled
        self._open: set[_Job] = set()
        self._closed = False
        self._lock = threading.Lock()
        self._queue: deque[_Job] = deque()
        self._thread: threading.Thread | None = None

    def compile(self, texts: Sequence[str], use: Use) -> object:
        """Call `use` with the patterns of these texts.

        Returns what that returns, or a PendingResult that finishes with it, or fails: with
        ValueError if a text is not a pattern, or takes too long to compile.
        """
        known = {text: found for text in texts if (found := self._compiled(text)) is not None}
        job = _Job(texts, known, use)
        if all(text in known for text in texts):
            return use(tuple(known[text] for text in texts))
        if not self._closed:
            self._open.add(job)
            self._start(job)
        return job.result

    def settle(self, patience: float) -> None:
        """Finish every call within `patience` seconds; those that take longer fail."""
        if not self._open:
            return
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(patience)
        self._loop.run_pending()
        late, self._open = self._open, set()
        self._clear()
        for job in late:
            job.error = PyroError("the event service is busy compiling patterns: call again")
            job.finish()

    def close(self) -> None:
        """Leave all calls without an answer: their connections are about to end."""
        self._closed = True
        self._open.clear()
        self._clear()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(_LAST_ONE)

    def _start(self, job: _Job) -> None:
        with self._lock:
            self._queue.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="compiler", daemon=True)
                self._thread.start()

    def _clear(self) -> None:
        with self._lock:
            self._queue.clear()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._thread = None
                    return
                job = self._queue.popleft()
            began = time.thread_time()
            if self._advance(job):
                self._loop.call_soon(lambda job=job: self._finish(job))  # type: ignore[misc] # bound now
            else:
                with self._lock:
                    self._queue.append(job)
            time.sleep(time.thread_time() - began)

    def _advance(self, job: _Job) -> bool:
        try:
            return job.advance()
        except Exception as error:  # noqa: BLE001 - the caller gets it
            job.error = error
            return True

    def _finish(self, job: _Job) -> None:
        if job in self._open:
            self._open.remove(job)
            job.finish()


def notify_of_patterns(router: Router[BrokerSubscriber]) -> None:
    """Notify subscribers whose patterns took too long, once for all; log suspensions."""
    found: dict[tuple[BrokerSubscriber, bool], list[str]] = {}
    for subscriber, pattern, final in router.take_notices():
        found.setdefault((subscriber, final), []).append(pattern)
    for (subscriber, final), patterns in found.items():
        first, more = patterns[0], len(patterns) - 1
        all_of_them = {"patterns": patterns} if more else {}
        notice = {"kind": "pattern", "pattern": first, **all_of_them, "reason": "pattern"}
        subscriber.notify({**notice, "suspended": final})
        if final:
            others = f", and {more} more" if more else ""
            _log.warning("%s: pattern %r takes too long and is suspended%s",
                         subscriber, first, others)  # fmt: skip
