"""A timer that ends at a time of the wall clock, and at once when somebody sets the clock.

The event loop's own timers count a clock that stands still while the machine is suspended.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# linux/timerfd.h
TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET = 1, 2


class _Spec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("every", "every_ns", "seconds", "ns")]


class WallClockTimer:
    """Calls a function in the event loop's thread; see timerfd_create(2)."""

    def __init__(self, function: Callable[[], None]) -> None:
        """Raise OSError."""
        self._function = function
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(
            self._libc.timerfd_create(time.CLOCK_REALTIME, os.O_CLOEXEC | os.O_NONBLOCK)
        )
        asyncio.get_running_loop().add_reader(self._fd, self._expired)

    def set(self, when: float) -> None:
        """Call at this time, in seconds since the epoch; it replaces an earlier one."""
        seconds = max(when, 1.0)  # 0 would stop it
        spec = _Spec(0, 0, int(seconds), int(seconds % 1 * 1e9))
        flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET
        self._checked(self._libc.timerfd_settime(self._fd, flags, ctypes.byref(spec), None))

    def close(self) -> None:
        """Call no more."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _expired(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                os.read(self._fd, 8)
            except OSError as error:
                if error.errno != errno.ECANCELED:  # the clock was set
                    raise
        self._function()

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result
