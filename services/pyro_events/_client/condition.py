"""Waiting for a change that another thread makes, intact whatever a signal handler raises."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class InterruptSafeCondition:
    """What `threading.Condition` does, for threads that may be interrupted at any moment.

    `Condition` is written in Python: an exception that a signal handler raises inside it can
    leave its lock held forever, or release it twice. Here only `with` statements hold the lock,
    which CPython enters and leaves in one step, and no waiting thread holds it.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._waiters: list[threading.Lock] = []

    def wait_for(self, find: Callable[[], T], deadline: float | None) -> T:
        """Return what `find` returns once that is true, or at the deadline (time.monotonic).

        Calls it again, with the lock held, after every change. To be called without the lock.
        """
        while True:
            with self._lock:
                found = find()
                left = None if deadline is None else deadline - time.monotonic()
                if found or (left is not None and left <= 0):
                    return found
                waiter = threading.Lock()
                waiter.acquire()
                self._waiters += [waiter]
            if not waiter.acquire(timeout=-1 if left is None else min(left, threading.TIMEOUT_MAX)):
                with self._lock:
                    self._waiters = [other for other in self._waiters if other is not waiter]

    def notify_all(self) -> None:
        """Wake all waiting threads, which call `find` again. To be called with the lock held."""
        while self._waiters:
            if self._waiters[-1].locked():
                self._waiters[-1].release()
            del self._waiters[-1]


class Answer:
    """A result that one thread waits for and another one sets, once."""

    def __init__(self) -> None:
        self._pending = threading.Lock()
        self._pending.acquire()
        self._value: object = None
        self._error: Exception | None = None
        self.done = False

    def set(self, value: object, error: Exception | None = None) -> None:
        """Set the value, or the error instead; the first call counts."""
        if not self.done:
            self._value, self._error, self.done = value, error, True
            self._pending.release()

    def result(self, timeout: float = 0) -> object:
        """Return the value or raise the error; raises TimedOut after `timeout` seconds."""
        if not self.done and not self._pending.acquire(timeout=timeout) and not self.done:
            raise TimedOut
        if self._error is not None:
            raise self._error
        return self._value


class TimedOut(Exception):
    """The time is over. Not TimeoutError, which a signal handler of the program may raise."""
