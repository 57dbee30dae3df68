"""inotify(7): the kernel reports changes in directories."""

from __future__ import annotations

import ctypes
import os

# linux/inotify.h
IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE = 0x2, 0x40, 0x80, 0x100
IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF = 0x200, 0x400, 0x800
IN_ONLYDIR, IN_NONBLOCK = 0x01000000, os.O_NONBLOCK
EVENTS_SIZE = 65536
"""Bytes to read at once."""


class Inotify:
    """A descriptor that becomes readable when something happens in the directories added to it."""

    def __init__(self, flags: int = 0) -> None:
        """Raise OSError."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_CLOEXEC | flags))

    def add(self, directory: str, mask: int) -> None:
        """Report these events of the directory; raise OSError."""
        path = os.fsencode(directory)
        self._checked(self._libc.inotify_add_watch(self._fd, path, mask | IN_ONLYDIR))

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def clear(self) -> None:
        """Read the events that have arrived."""
        os.read(self._fd, EVENTS_SIZE)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result
