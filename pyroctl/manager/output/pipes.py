"""The pipes that a child writes to, read a bounded piece a turn of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PIPE_SIZE = 1 << 18
"""Bytes that a child can write before it has to wait for us; the system's default is 64 KiB."""
READ_SIZE = 1 << 16
"""Bytes a turn: what fits a processor's cache is stamped three times as fast as 256 KiB."""
LITTLE = 1 << 14
"""Bytes."""
REST = 0.002
"""Seconds: a child that writes little, and again and again, isn't read at each time."""
HURRY = 0.1
"""Seconds without rest for a child that has filled what we read at once: it would wait for us."""
LAST_READS = 64
"""So often a pipe is read after the end of its process: others of the session may write on."""


class OutputPipe:
    """The manager's end of a pipe; what comes goes to `on_data`, in the event loop's thread.

    A child that writes faster than we read waits for us, as for any pipe. One turn of the loop
    reads a pipe once, so a flood on one doesn't keep the others, or a command, waiting. Many small
    writes are read together: each wakes us up otherwise, and the child waits for the processor.
    `fd` is the end of a pipe that is there already.
    """

    def __init__(self, on_data: Callable[[bytes], None], fd: int | None = None) -> None:
        self._on_data = on_data
        self._loop = asyncio.get_running_loop()
        self._fd, self.remote = make_pipe() if fd is None else (fd, -1)
        self._last = self._hurry_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def fd(self) -> int:
        """Our end; -1 when it is closed."""
        return self._fd

    def release_remote(self) -> None:
        """Close the child's end here: the child has it now, or never will."""
        if self.remote >= 0:
            os.close(self.remote)
            self.remote = -1

    def start(self) -> None:
        """Begin to read, or go on."""
        self._rest_no_longer()
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._read)

    def pause(self) -> None:
        """Read no more until `start`: the child will have to wait."""
        self._rest_no_longer()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)

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
            self.pause()
            os.close(self._fd)
            self._fd = -1

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
            count < LITTLE and now - self._last < REST and now > self._hurry_until and self._fd >= 0
        ):
            self.pause()
            self._timer = self._loop.call_later(REST, self.start)
        self._last = now

    def _rest_no_longer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read_once(self) -> bytes | None:
        """Give what the pipe has: b"" at its end, None when there is nothing at the moment."""
        try:
            return os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return None


def make_pipe() -> tuple[int, int]:
    """Give the two ends of a large pipe; ours, the first, doesn't block."""
    ours, remote = os.pipe()
    with contextlib.suppress(OSError):  # beyond what our user may have: smaller works, too
        fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    os.set_blocking(ours, False)
    return ours, remote


class OutputPipes:
    """All pipes of one child: its output, and its stderr if that has `on_errors` of its own.

    `fds` are the ends of pipes that are there already, by "output" and "errors".
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
        """Give what the child gets as stdout and stderr."""
        *_, last = self._pipes.values()
        return self._pipes["output"].remote, last.remote

    def release_remotes(self) -> None:
        """Close the child's ends here."""
        for pipe in self._pipes.values():
            pipe.release_remote()

    def start(self, _pid: int) -> None:
        """Begin to read."""
        for pipe in self._pipes.values():
            pipe.start()

    def drain(self, then: Callable[[], None]) -> None:
        """Read what is there now, and call `then`."""
        for pipe in self._pipes.values():
            pipe.drain()
        then()

    def close(self) -> None:
        """Read no more."""
        for pipe in self._pipes.values():
            pipe.close()

    def descriptors(self) -> dict[str, int]:
        """Give our ends, of those that are open."""
        return {name: pipe.fd for name, pipe in self._pipes.items() if pipe.fd >= 0}
