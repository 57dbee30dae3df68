"""Lets the system tell when a process ends: pidfd_open(2) in the event loop."""

from __future__ import annotations

import asyncio
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ProcessWatch:
    """Calls `on_end` once, when the process ends; raises ProcessLookupError when it is gone."""

    def __init__(self, pid: int, on_end: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._fd = os.pidfd_open(pid)
        self._loop.add_reader(self._fd, self._ended)

    def _ended(self) -> None:
        self.cancel()
        self._on_end()

    def cancel(self) -> None:
        """Watch no longer; harmless when that is so already."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


def has_ended(pid: int, patience: float) -> bool:
    """Wait, at most so many seconds, for the end of a process; blocks."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], patience)[0])
    finally:
        os.close(fd)
