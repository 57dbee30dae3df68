"""What ends the program: a signal, a manager that is gone, a fault."""

from __future__ import annotations

import os
import signal
from collections import deque


class StopReasons:
    """Reasons to stop, from signals and threads to the one thread that waits; one in a process.

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
            signal.signal(number, lambda *_: None)  # or it would kill; what counts is the pipe

    def put(self, reason: str) -> None:
        """Give a reason; from any thread."""
        self._texts.append(reason)
        os.write(self._writer, b"\0")

    def get(self) -> str:
        """Wait for a reason, and give the first one."""
        (number,) = os.read(self._reader, 1)
        return signal.Signals(number).name if number else self._texts.popleft()

    def close(self) -> None:
        """Give the pipe back; signals that come now are ignored."""
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)
