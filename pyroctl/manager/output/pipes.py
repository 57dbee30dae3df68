"""The pipes that a process writes to, read in bounded pieces, one per turn of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PIPE_SIZE = 1 << 18
"""Bytes that a process can write before it has to wait for us; the default is 64 KiB."""
READ_SIZE = 1 << 16
"""Bytes per turn: what fits a processor's cache is stamped three times as fast as 256 KiB."""
LITTLE = 1 << 14
"""Bytes."""
REST = 0.002
"""Seconds without reading after a small write, so that many small writes are read together."""
HURRY = 0.1
"""Seconds without rests after a full read: the process would have to wait for us."""
LAST_READS = 64
"""The maximum number of reads after the end: others of the session may still be writing."""


class OutputPipe:
    """The manager's end of a pipe; passes data to `on_data`, in the event loop's thread.

    A process that writes faster than we read waits for us, as with any pipe. One turn of the loop
    reads a pipe once, so a flood on one doesn't delay the others, or a command. Many small writes
    are read together: otherwise each would wake us, and the process would wait for the processor.
    `fd` is our end of an existing pipe.
    """

    def __init__(self, on_data: Callable[[bytes], None], fd: int | None = None) -> None:
        self._on_data = on_data
        self._loop = asyncio.get_running_loop()
        self.fd, self.remote = make_pipe() if fd is None else (fd, -1)
        """Our end and that of the process; -1 when it is closed."""
        self._last = self._hurry_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def release_remote(self) -> None:
        """Close the end of the process here: the process has its copy, or will never need one."""
        if self.remote >= 0:
            os.close(self.remote)
            self.remote = -1

    def start(self) -> None:
        """Begin or continue to read."""
        self._cancel_rest()
        if self.fd >= 0:
            self._loop.add_reader(self.fd, self._read)

    def pause(self) -> None:
        """Stop reading until `start`: the process will have to wait."""
        self._cancel_rest()
        if self.fd >= 0:
            self._loop.remove_reader(self.fd)

    def drain(self) -> None:
        """Read what has been written so far; bounded."""
        for _ in range(LAST_READS):
            data = self._read_once() if self.fd >= 0 else None
            if not data:
                return
            self._on_data(data)

    def close(self) -> None:
        """Close our end; calling it again does no harm."""
        if self.fd >= 0:
            self.pause()
            os.close(self.fd)
            self.fd = -1

    def _read(self) -> None:
        data = self._read_once()
        if data:
            self._on_data(data)
            self._rest_after(len(data))
        elif data is not None:
            self.close()

    def _rest_after(self, count: int) -> None:
        now = self._loop.time()
        if count == READ_SIZE:
            self._hurry_until = now + HURRY
        elif (
            count < LITTLE and now - self._last < REST and now > self._hurry_until and self.fd >= 0
        ):
            self.pause()
            self._timer = self._loop.call_later(REST, self.start)
        self._last = now

    def _cancel_rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read_once(self) -> bytes | None:
        """Return what the pipe has: b"" at its end, None if it is empty at the moment."""
        try:
            return os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            return None


def make_pipe() -> tuple[int, int]:
    """Return the two ends of a large pipe; the first one, ours, doesn't block."""
    ours, remote = os.pipe()
    with contextlib.suppress(OSError):  # beyond our user's limit; a smaller one works too
        fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    os.set_blocking(ours, False)
    return ours, remote


class OutputPipes:
    """The pipes of one process: for its output, and for its stderr if there is `on_errors`.

    `fds` are our ends of existing pipes, as "output" and "errors".
    """

    def __init__(
        self,
        on_output: Callable[[bytes], None],
        on_errors: Callable[[bytes], None] | None = None,
        fds: Mapping[str, int] | None = None,
    ) -> None:
        fds = fds or {}
        self._pipes = {"output": OutputPipe(on_output, fds.get("output"))}
        if on_errors is not None:
            try:
                self._pipes["errors"] = OutputPipe(on_errors, fds.get("errors"))
            except BaseException:
                self.release_remotes()
                self.close()
                raise

    def remotes(self) -> tuple[int, int]:
        """Return the descriptors for the process' stdout and stderr."""
        *_, last = self._pipes.values()
        return self._pipes["output"].remote, last.remote

    def release_remotes(self) -> None:
        """Close the ends of the process here."""
        for pipe in self._pipes.values():
            pipe.release_remote()

    def start(self, _pid: int) -> None:
        """Begin to read."""
        for pipe in self._pipes.values():
            pipe.start()

    def drain(self, then: Callable[[], None]) -> None:
        """Read what has been written so far, and call `then`."""
        for pipe in self._pipes.values():
            pipe.drain()
        then()

    def close(self) -> None:
        """Close our ends."""
        for pipe in self._pipes.values():
            pipe.close()

    def descriptors(self) -> dict[str, int]:
        """Return our ends that are open, by name."""
        return {name: pipe.fd for name, pipe in self._pipes.items() if pipe.fd >= 0}
