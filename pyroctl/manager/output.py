"""One pipe that a child writes to, read a bounded piece a turn of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PIPE_SIZE = 1 << 18
"""Bytes that a child can write before it has to wait for us; the system's default is 64 KiB."""
READ_SIZE = 1 << 16
"""Bytes a turn: what fits a processor's cache is stamped three times as fast as 256 KiB."""
LAST_READS = 64
"""So often a pipe is read after the end of its process: others of the session may write on."""


class OutputPipe:
    """The manager's end of a pipe; what comes goes to `on_data`, in the event loop's thread.

    A child that writes faster than we read waits for us, as for any pipe. One turn of the loop
    reads a pipe once, so a flood on one doesn't keep the others, or a command, waiting.
    """

    def __init__(self, on_data: Callable[[bytes], None]) -> None:
        self._on_data = on_data
        self._loop = asyncio.get_running_loop()
        self._fd, self.remote = os.pipe()
        with contextlib.suppress(OSError):  # beyond what our user may have: smaller works, too
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        os.set_blocking(self._fd, False)

    def release_remote(self) -> None:
        """Close the child's end here: the child has it now, or never will."""
        os.close(self.remote)

    def start(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._fd, self._read)

    def drain(self) -> None:
        """Read what is there now; bounded."""
        for _ in range(LAST_READS):
            data = self._read_once() if self._fd >= 0 else None
            if not data:
                return
            self._on_data(data)

    def close(self) -> None:
        """Read no more. Harmless when that is so already."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        data = self._read_once()
        if data:
            self._on_data(data)
        elif data is not None:
            self.close()

    def _read_once(self) -> bytes | None:
        """Give what the pipe has: b"" at its end, None when there is nothing at the moment."""
        try:
            return os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return None
