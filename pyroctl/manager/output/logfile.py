"""A log file that is put aside when it is full or old, and survives a full disk."""

from __future__ import annotations

import contextlib
import errno
import os
from datetime import datetime
from typing import TYPE_CHECKING

from pyroctl.manager.output.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.spec import LogSpec

LOOK_AGAIN = 1.0
"""Seconds after which a file may be found to be gone."""
STAMP_LENGTH = len("2026-01-31T12:00:00.000+01:00")


def stamp(moment: datetime) -> bytes:
    """Give what stands before each line: ISO 8601 with offset, and a blank."""
    return moment.isoformat(timespec="milliseconds").encode() + b" "


class LogFile:
    """Appends lines to `path`; what can't be written is counted, and costs its writer nothing.

    It writes again when it can, and then says in the file itself how much is missing there; `tell`
    is called with a sentence when that begins and when it ends. A file that somebody moved away or
    removed is begun anew. Belongs to one thread.
    """

    def __init__(self, path: str, spec: LogSpec, tell: Callable[[str], None]) -> None:
        self._path = path
        self._spec = spec
        self._tell = tell
        self._archive = Archive(path, spec, tell)
        self._fd = -1
        self._inode = self._size = 0
        self._looked = 0.0
        self._began: datetime | None = None
        self._missing_lines = self._missing_bytes = 0
        self._trouble = ""
        self.lost_lines = self.lost_bytes = 0
        """In all, since it was made."""

    def use(self, spec: LogSpec) -> None:
        """Keep to other bounds from now on."""
        self._spec = spec
        self._archive.use(spec)

    def append(self, block: bytes, moment: datetime) -> None:
        """Write whole lines, each with its newline; `moment` is now."""
        written = 0
        try:
            if self._missing_lines:
                gap = self._gap(moment)
                while not self._write_some(gap, 0, moment):
                    pass  # the file was full, and was put aside
                self._recovered()
            while written < len(block):
                written += self._write_some(block, written, moment)
        except OSError as error:
            self._lose(block[written:], error)

    def append_stamped(self, lines: bytes, moment: datetime) -> None:
        """Write whole lines with the time in front of each."""
        prefix = stamp(moment)
        stamped = lines.replace(b"\n", b"\n" + prefix)  # one copy of it all, and no more
        if not self._write_whole(prefix, stamped, moment):
            self.append(prefix + stamped[: -len(prefix)], moment)

    def reopen(self) -> None:
        """Let go of the file, because somebody moved it away."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """Let go of everything; the next `append` would open it again."""
        self.reopen()
        self._archive.close()

    def _write_whole(self, prefix: bytes, stamped: bytes, moment: datetime) -> bool:
        """Write lines of which the first has no prefix yet, and the last one too many.

        Only if that is nothing special: False is for `append`, which knows what to do.
        """
        size = len(stamped)
        try:
            if self._missing_lines:
                return False
            self._make_ready(moment)
            if self._size + size > self._spec.max_bytes:
                return False
            count = os.writev(self._fd, (prefix, memoryview(stamped)[: -len(prefix)]))
            if count < size:
                os.ftruncate(self._fd, self._size)
                return False
        except OSError:
            return False
        self._size += size
        return True

    def _write_some(self, block: bytes, start: int, moment: datetime) -> int:
        """Write as many whole lines as fit, and give their bytes; 0: the file was put aside."""
        self._make_ready(moment)
        end = len(block)
        room = self._spec.max_bytes - self._size
        if end - start > room:
            end = block.rfind(b"\n", start, start + max(room, 0)) + 1
            if not end and self._size:
                self._put_aside()
                return 0
            end = end or block.find(b"\n", start) + 1  # one line is larger than a file may be
        count = os.write(self._fd, memoryview(block)[start:end])
        if count < end - start:
            count = self._take_back_half_a_line(block, start, count)
        self._size += count
        return count

    def _take_back_half_a_line(self, block: bytes, start: int, count: int) -> int:
        """Let the file end with a whole line after the disk filled up in the middle of one."""
        whole = max(block.rfind(b"\n", start, start + count) + 1 - start, 0)
        os.ftruncate(self._fd, self._size + whole)
        if not whole:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole

    # --- the file -------------------------------------------------------------------------------

    def _make_ready(self, moment: datetime) -> None:
        if self._fd >= 0 and moment.timestamp() - self._looked >= LOOK_AGAIN:
            self._look_again()
            self._looked = moment.timestamp()
        if self._fd < 0:
            self._open()
        if self._spec.max_age and self._size:
            if self._began is None:
                self._began = _first_time(self._path) or moment
            if (moment - self._began).total_seconds() >= self._spec.max_age:
                self._put_aside()
                self._open()

    def _look_again(self) -> None:
        """Notice that the file was removed, replaced or cut: people do such things to logs."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self.reopen()
            return
        if status.st_ino != self._inode:
            self.reopen()
        self._size = status.st_size

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        status = os.fstat(self._fd)
        self._inode, self._size = status.st_ino, status.st_size
        self._began = None

    def _put_aside(self) -> None:
        self.reopen()
        self._archive.put_aside()
        self._size = 0

    # --- what can't be written ------------------------------------------------------------------

    def _lose(self, block: bytes, error: OSError) -> None:
        self.reopen()
        lines = block.count(b"\n")
        self.lost_lines += lines
        self.lost_bytes += len(block)
        if not self._missing_lines:
            self._trouble = error.strerror or str(error)
            self._tell(f"{self._path} can't be written: {self._trouble}")
        self._missing_lines += lines
        self._missing_bytes += len(block)

    def _gap(self, moment: datetime) -> bytes:
        return stamp(moment) + f"[pyroctl] {self._missing()} here: {self._trouble}\n".encode()

    def _missing(self) -> str:
        return f"{self._missing_lines} lines ({self._missing_bytes} bytes) are missing"

    def _recovered(self) -> None:
        self._tell(f"{self._path} is written again; {self._missing()}")
        self._missing_lines = self._missing_bytes = 0


def _first_time(path: str) -> datetime | None:
    """Read the time of a log's first line."""
    with contextlib.suppress(OSError, ValueError), open(path, "rb") as file:
        moment = datetime.fromisoformat(file.read(STAMP_LENGTH).decode("ascii", "replace"))
        return moment if moment.tzinfo is not None else None
    return None
