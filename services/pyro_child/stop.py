"""Why a service stops: a signal, a manager that is gone, or that it can't serve."""

from __future__ import annotations

import os
import signal
from collections import deque
from typing import Any

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
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        self._reader, self._writer = os.fdopen(reader, "rb", 0), os.fdopen(writer, "wb", 0)
        self._texts: deque[str] = deque()
        self._handlers: dict[int, Any] = {}

    def on_signals(self, *numbers: signal.Signals) -> None:
        """Make these signals reasons to stop; for the main thread."""
        signal.set_wakeup_fd(self._writer.fileno())
        for number in numbers:
            self._handlers[number] = signal.signal(number, _ignore)  # the default would kill us

    def put(self, reason: str) -> None:
        """Add a reason; from any thread."""
        self._texts.append(reason)
        self._writer.write(b"\0")

    def get(self) -> str:
        """Wait for the first reason, and return it."""
        while (number := self._reader.read(1)[0]) not in (0, *self._handlers):
            pass  # a signal for which the program has a handler of its own
        return signal.Signals(number).name if number else self._texts.popleft()

    def close(self) -> None:
        """Close the pipe; signals that arrive from now on are ignored."""
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()

    def abandon(self) -> None:
        """Close the pipe and put the earlier handlers back; for a forked child."""
        self.close()
        for number, handler in self._handlers.items():
            if signal.getsignal(number) is _ignore:
                signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _ignore(*_: object) -> None:
    """Handle a signal; that it came is in the pipe."""
