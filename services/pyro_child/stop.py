"""Why a service stops: a signal, a manager that is gone, or that it can't serve."""

from __future__ import annotations

import os
import signal
from collections import deque

PERMANENT_FAILURE = 125
"""The exit code of a service that is pointless to start again."""


class CannotServe(Exception):
    """The service can't serve; the text tells people why, in one or a few lines.

    `permanent` means that another try is pointless.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent

    @property
    def exit_code(self) -> int:
        """The exit code for the manager."""
        return PERMANENT_FAILURE if self.permanent else 1


class StopReasons:
    """Reasons to stop, from signals and threads to the one thread that waits; one per process.

    Signals come through `signal.set_wakeup_fd`. A handler in Python isn't enough in a program
    with threads: when two signals arrive at once, the kernel may give both to a thread that never
    runs handlers, and the main thread sleeps on.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._texts: deque[str] = deque()

    def on_signals(self, *numbers: signal.Signals) -> None:
        """Make these signals reasons to stop; for the main thread."""
        signal.set_wakeup_fd(self._writer)
        for number in numbers:
            signal.signal(number, lambda *_: None)  # the default would kill us

    def put(self, reason: str) -> None:
        """Add a reason; from any thread."""
        self._texts.append(reason)
        os.write(self._writer, b"\0")

    def get(self) -> str:
        """Wait for the first reason, and return it."""
        (number,) = os.read(self._reader, 1)
        return signal.Signals(number).name if number else self._texts.popleft()

    def close(self) -> None:
        """Close the pipe; signals that arrive from now on are ignored."""
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)
