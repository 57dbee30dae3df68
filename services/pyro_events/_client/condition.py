"""Waiting for a change that another thread makes, whole whatever a signal handler raises."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class InterruptSafeCondition:
    """What `threading.Condition` does, for threads that may be interrupted at any moment.

    A condition is written in Python: an exception that a signal handler raises inside of it can
    leave its lock held for ever, or release it twice. Here nothing but a `with` statement holds
    the lock, which CPython does in one step, and nobody holds it while waiting.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._bells: list[threading.Lock] = []

    def wait(self, look: Callable[[], T], deadline: float | None) -> T:
        """Give what `look` finds as soon as that is true, or at the deadline (time.monotonic).

        Looks again, with the lock held, after every change. To be called without the lock.
        """
        while True:
            with self._lock:
                found = look()
                left = None if deadline is None else deadline - time.monotonic()
                if found or (left is not None and left <= 0):
                    return found
                bell = threading.Lock()
                bell.acquire()
                self._bells += [bell]
            if not bell.acquire(timeout=-1 if left is None else min(left, threading.TIMEOUT_MAX)):
                with self._lock:
                    self._bells = [other for other in self._bells if other is not bell]

    def tell(self) -> None:
        """Have everybody look again. To be called with the lock held."""
        while self._bells:
            if self._bells[-1].locked():
                self._bells[-1].release()
            del self._bells[-1]


class Answer:
    """What somebody waits for and another thread brings, once."""

    def __init__(self) -> None:
        self._bell = threading.Lock()
        self._bell.acquire()
        self._value: object = None
        self._error: Exception | None = None
        self.done = False

    def give(self, value: object, error: Exception | None = None) -> None:
        """Bring the value, or the error instead; the first one counts."""
        if not self.done:
            self._value, self._error, self.done = value, error, True
            self._bell.release()

    def result(self, timeout: float = 0) -> object:
        """Give the value or raise the error; raises TimedOut after so many seconds."""
        if not self.done and not self._bell.acquire(timeout=timeout) and not self.done:
            raise TimedOut
        if self._error is not None:
            raise self._error
        return self._value


class TimedOut(Exception):
    """A time is over. Not Python's TimeoutError, which a signal handler may raise for its own."""
