"""A log file that is rotated by size and age, and survives a full disk."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyroctl import directories
from pyroctl.core.spec import LogSpec
from pyroctl.manager.output.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Callable

CHECK_PERIOD = 1.0
"""Seconds between checks whether the file was moved or removed."""
STAMP_LENGTH = len("2026-01-31T12:00:00.000+01:00")


def now() -> datetime:
    """Return the time of day, with the local offset."""
    return datetime.now(UTC).astimezone()


def stamp(moment: datetime) -> bytes:
    """Return the prefix of a line: ISO 8601 with offset, and a blank."""
    return moment.isoformat(timespec="milliseconds").encode() + b" "


class LogFile:
    """Appends lines to `path`; counts what can't be written, and never raises.

    When it can write again, it reports in the file itself how much is missing there; `warn` gets a
    sentence when that starts and when it ends. A file that was moved or removed is created again,
    and so is its directory, with the mode that it had. Belongs to one thread.
    """

    def __init__(self, path: str, spec: LogSpec, warn: Callable[[str], None]) -> None:
        self._path = path
        self._directory_mode = directories.mode(os.path.dirname(path))
        self._spec = spec
        self._warn = warn
        self._archive = Archive(path, spec, warn)
        self._fd = -1
        self._inode = self._size = 0
        self._unfinished = 0
        """Bytes of an unfinished line after the first `_size` bytes of the file."""
        self._checked = 0.0
        self._began: datetime | None = None
        self._missing_lines = self._missing_bytes = 0
        self._trouble = ""
        self.lost_lines = self.lost_bytes = 0
        """Totals of this object."""

    def use(self, spec: LogSpec) -> None:
        """Change the limits."""
        self._spec = spec
        self._archive.use(spec)

    def append(self, block: bytes, moment: datetime) -> None:
        """Write whole lines, each with its newline; `moment` is now."""
        self.withdraw_unfinished()
        written = 0
        try:
            if self._missing_lines:
                gap = self._gap(moment)
                while not self._write_some(gap, 0, moment):
                    pass  # the file was full, and was rotated
                self._recovered()
            while written < len(block):
                written += self._write_some(block, written, moment)
        except OSError as error:
            self._lose(block[written:], error)

    def append_stamped(self, lines: bytes, moment: datetime) -> None:
        """Write whole lines, each with the time in front."""
        self.withdraw_unfinished()
        prefix = stamp(moment)
        stamped = lines.replace(b"\n", b"\n" + prefix)  # the only copy of the data
        if not self._write_whole(prefix, stamped, moment):
            self.append(prefix + stamped[: -len(prefix)], moment)

    def show_unfinished(self, line: bytes, moment: datetime) -> None:
        """Show a line without its end at the end of the file, for readers; `append` removes it."""
        self.withdraw_unfinished()
        text = stamp(moment) + line
        with contextlib.suppress(OSError):  # what is lost counts when the line is complete
            self._make_ready(moment)
            if not self._missing_lines and self._size + len(text) <= self._spec.max_bytes:
                self._unfinished = os.write(self._fd, text)

    def withdraw_unfinished(self) -> None:
        """Remove the unfinished line, unless another program has changed the file."""
        if self._unfinished and self._fd >= 0:
            with contextlib.suppress(OSError):
                if os.fstat(self._fd).st_size == self._size + self._unfinished:
                    os.ftruncate(self._fd, self._size)
        self._unfinished = 0

    def reopen(self) -> None:
        """Close the file; the next `append` opens it again, also if it was moved away."""
        self.withdraw_unfinished()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """Close the file and its archive."""
        self.reopen()
        self._archive.close()

    def _write_whole(self, prefix: bytes, stamped: bytes, moment: datetime) -> bool:
        """Write `prefix` and `stamped` without the prefix at its end, if nothing is special.

        Otherwise return False: `append` handles all cases.
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
        """Write as many whole lines as fit; return their bytes, 0 if the file was rotated."""
        self._make_ready(moment)
        end = len(block)
        room = self._spec.max_bytes - self._size
        if end - start > room:
            end = block.rfind(b"\n", start, start + max(room, 0)) + 1
            if not end and self._size:
                self._rotate()
                return 0
            end = end or block.find(b"\n", start) + 1  # a single line exceeds the limit
        count = os.write(self._fd, memoryview(block)[start:end])
        if count < end - start:
            count = self._truncate_partial_line(block, start, count)
        self._size += count
        return count

    def _truncate_partial_line(self, block: bytes, start: int, count: int) -> int:
        """Cut off a partial line, written when the disk became full; return the bytes that stay."""
        whole = max(block.rfind(b"\n", start, start + count) + 1 - start, 0)
        os.ftruncate(self._fd, self._size + whole)
        if not whole:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole

    # --- the file -------------------------------------------------------------------------------

    def _make_ready(self, moment: datetime) -> None:
        if self._fd >= 0 and moment.timestamp() - self._checked >= CHECK_PERIOD:
            self._check_file()
            self._checked = moment.timestamp()
        elif self._fd >= 0 and not os.fstat(self._fd).st_nlink:
            self.reopen()  # it was removed: not a line is to be lost with it
        if self._fd < 0:
            self._open()
        if self._spec.max_age and self._size:
            if self._began is None:
                self._began = _first_time(self._path) or moment
            if (moment - self._began).total_seconds() >= self._spec.max_age:
                self._rotate()
                self._open()

    def _check_file(self) -> None:
        """Notice that the file was removed, replaced or truncated."""
        try:
            status = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            self.reopen()
            return
        if status.st_ino != self._inode:
            self.reopen()
        self._size = status.st_size

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._fd = os.open(self._path, flags, 0o666)
        except FileNotFoundError:
            directories.make_again(os.path.dirname(self._path), self._directory_mode)
            self._fd = os.open(self._path, flags, 0o666)
        status = os.fstat(self._fd)
        self._inode, self._size = status.st_ino, status.st_size
        self._began = None
        if self._size and not _ends_with_a_line(self._path):  # its writer was killed
            self._size += os.write(self._fd, b"\n")

    def _rotate(self) -> None:
        self.reopen()
        self._archive.rotate()
        self._size = 0

    # --- what can't be written ------------------------------------------------------------------

    def _lose(self, block: bytes, error: OSError) -> None:
        self.reopen()
        lines = block.count(b"\n")
        self.lost_lines += lines
        self.lost_bytes += len(block)
        if not self._missing_lines:
            self._trouble = error.strerror or str(error)
            self._warn(f"{self._path} can't be written: {self._trouble}")
        self._missing_lines += lines
        self._missing_bytes += len(block)

    def _gap(self, moment: datetime) -> bytes:
        return stamp(moment) + f"[pyroctl] {self._missing()} here: {self._trouble}\n".encode()

    def _missing(self) -> str:
        return f"{self._missing_lines} lines ({self._missing_bytes} bytes) are missing"

    def _recovered(self) -> None:
        self._warn(f"{self._path} can be written again; {self._missing()}")
        self._missing_lines = self._missing_bytes = 0


def _ends_with_a_line(path: str) -> bool:
    """Return whether a file that is not empty ends with a newline, as far as that can be read."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
    return True


def _first_time(path: str) -> datetime | None:
    """Return the time of a log's first line."""
    with contextlib.suppress(OSError, ValueError), open(path, "rb") as file:
        moment = datetime.fromisoformat(file.read(STAMP_LENGTH).decode("ascii", "replace"))
        return moment if moment.tzinfo is not None else None
    return None


class ManagerLog(logging.Handler):
    """The manager's own log; usable from any thread, like all handlers of logging."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = LogFile(path, LogSpec(max_bytes=5_000_000, keep=2), lambda _: None)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; if that fails, the file reports the number later."""
        self._file.append(f"{self.format(record)}\n".encode(errors="replace"), now())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
