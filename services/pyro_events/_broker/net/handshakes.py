"""The thread on which TLS handshakes are calculated, so that the loop doesn't wait for them.

A handshake takes a millisecond of a processor, most of it without Python's global lock. Addresses
take turns: a flood from one of them delays no other.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.net.loop import Loop

    Work = Callable[[], Callable[[], None]]
    """What the thread calls; the loop calls what that returns."""

_log = logging.getLogger("pyro_events")


class Handshakes:
    """Runs pieces of work; the thread starts with the first one. For the loop's thread.

    There is one piece for each connection at most, and admission bounds how many connections have
    not finished their handshake, so the queue needs no bound of its own.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._thread: threading.Thread | None = None
        self._waiting: dict[str, deque[Work]] = {}
        """Work by origin, the one whose turn is next first."""
        self._changed = threading.Condition()
        self._closed = False

    def run(self, origin: str, work: Work, *, urgent: bool = False) -> None:
        """Do some work for a client at this address, or for none of them.

        What is urgent comes before other work for that address. With the steps of handshakes that
        have begun, some clients come in even if there are too many for the time that they have.
        """
        with self._changed:
            theirs = self._waiting.setdefault(origin, deque())
            if urgent:
                theirs.appendleft(work)
            else:
                theirs.append(work)
            self._changed.notify()
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="handshakes", daemon=True)
            thread.start()
            self._thread = thread

    def close(self, patience: float = 1.0) -> None:
        """Begin nothing more, and end the thread, unless a file system hangs."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(patience)

    def _work(self) -> None:
        while (work := self._next()) is not None:
            try:
                then = work()
            except Exception:  # noqa: BLE001 - the other connections must not be disturbed
                _log.exception("internal error in a TLS handshake")
            else:
                self._loop.call_soon(then)

    def _next(self) -> Work | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            origin = next(iter(self._waiting))
            theirs = self._waiting.pop(origin)
            work = theirs.popleft()
            if theirs:
                self._waiting[origin] = theirs  # behind the others
            return work
