"""Memory in which an event service keeps accepted events, so that they outlive its processes.

The manager makes it and never looks at it. A process finds the descriptor's number in the variable
PYROCTL_RING_FD.
"""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "PYROCTL_RING_FD"
_HEADER: Final = 64
"""Bytes that the event service needs beside the events."""


class HeldRing:
    """A file in memory, open until `close`; it exists as long as any process has it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size = os.fstat(fd).st_size - _HEADER
        """How many bytes of events it has room for."""

    @classmethod
    def make(cls, size: int) -> HeldRing:
        """Return a new one. Raises OSError, if there is not enough memory."""
        fd = os.memfd_create("pyroctl-ring", os.MFD_CLOEXEC)
        try:
            os.posix_fallocate(fd, 0, size + _HEADER)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd)

    def fileno(self) -> int:
        """Return the descriptor, for a process to inherit."""
        return self._fd

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)
