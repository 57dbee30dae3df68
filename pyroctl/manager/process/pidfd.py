"""Notices when a process ends: pidfd_open(2) in the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ProcessWatch:
    """Calls `on_end` once, when the process ends; raises ProcessLookupError if there is none."""

    def __init__(self, pid: int, on_end: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._fd = os.pidfd_open(pid)
        self._loop.add_reader(self._fd, self._ended)

    def _ended(self) -> None:
        self.cancel()
        self._on_end()

    def send_signal(self, number: int) -> None:
        """Signal the process, and never one that has its pid later; nothing after its end."""
        if self._fd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, number)

    def cancel(self) -> None:
        """Stop watching; calling it again does no harm."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


def has_ended(pid: int, timeout: float) -> bool:
    """Return whether a process ends within `timeout` seconds; blocks."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], timeout)[0])
    finally:
        os.close(fd)
