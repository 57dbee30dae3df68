"""A service's log file: time-stamped lines, rotated by size, bounded in total."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.spec import LogSpec

LONGEST_LINE = 65536
"""Bytes; a longer line is broken up, so that memory stays bounded."""
REMEMBERED_LINES = 20
"""How many last lines are at hand for an error message."""


def now() -> datetime:
    """Give the time of day, with the local offset."""
    return datetime.now(UTC).astimezone()


class LogFile:
    """Writes what one service says to `path`, and keeps its last lines in memory.

    Each line gets the time it was read in front: ISO 8601 with offset, and a blank. Output that
    can't be written (a full disk) is counted in `lost_bytes` and costs the service nothing.
    """

    def __init__(self, path: str, spec: LogSpec, clock: Callable[[], datetime] = now) -> None:
        self._path = path
        self._spec = spec
        self._clock = clock
        self._file: BinaryIO | None = None
        self._size = 0
        self._partial = b""
        self._last: deque[bytes] = deque(maxlen=REMEMBERED_LINES)
        self.lost_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take output as it comes, and give the lines that are complete now."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > LONGEST_LINE:
            lines.append(self._partial)
            self._partial = b""
        self._write(lines)
        return lines

    def note(self, text: str) -> None:
        """Write a line of the manager's own."""
        self._write([f"[pyroctl] {text}".encode()], remember=False)

    def finish(self) -> None:
        """Write what came without a newline at its end; the service has ended."""
        if self._partial:
            self._write([self._partial])
            self._partial = b""

    def last_lines(self) -> list[str]:
        """Give the last lines that the service wrote, oldest first."""
        return [line.decode(errors="replace") for line in self._last]

    def forget(self) -> None:
        """Begin a new run: the last lines are that run's only."""
        self._last.clear()

    def reopen(self) -> None:
        """Let go of the file, because somebody moved it away."""
        if self._file is not None:
            self._file.close()
            self._file = None

    close = reopen

    def _write(self, lines: list[bytes], *, remember: bool = True) -> None:
        if not lines:
            return
        if remember:
            self._last.extend(lines[-REMEMBERED_LINES:])
        stamp = self._clock().isoformat(timespec="milliseconds").encode() + b" "
        block = stamp + (b"\n" + stamp).join(lines) + b"\n"
        try:
            self._append(block)
        except OSError:
            self.lost_bytes += len(block)
            self.reopen()

    def _append(self, block: bytes) -> None:
        if self._file is None:
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - open as long as the service
            self._size = self._file.tell()
        if self._size and self._size + len(block) > self._spec.max_bytes:
            self._rotate()
        assert self._file is not None
        self._file.write(block)
        self._size += len(block)

    def _rotate(self) -> None:
        """Shift es.log → es.log.1 → … and let the oldest go."""
        self.reopen()
        for number in range(self._spec.keep, 0, -1):
            older = f"{self._path}.{number}"
            newer = f"{self._path}.{number - 1}" if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                os.replace(newer, older)
        if not self._spec.keep:
            os.unlink(self._path)
        self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - as above
        self._size = 0
