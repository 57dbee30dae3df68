"""Reads what is added to a log, also while its file is rotated."""

from __future__ import annotations

import contextlib
import gzip
import os
import struct
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from pyroctl.inotify import IN_CREATE, IN_MODIFY, IN_MOVED_TO
from pyroctl.log_reader.files import BLOCK, LogLine, LogPosition, last_line_end, parse
from pyroctl.paths import log_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.inotify import Inotify
    from pyroctl.log_reader.files import Source

GZIP_TRAILER = struct.Struct("<II")
"""At the end of a gzip file: CRC-32 and length of the uncompressed data (RFC 1952)."""


def watch_directories(watch: Inotify, directories: set[str]) -> None:
    """Watch the directories, each of which may be removed and come back as another one."""
    for directory in directories:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            watch.add(os.path.dirname(directory), IN_MOVED_TO | IN_CREATE)
            watch.add(directory, IN_MODIFY | IN_MOVED_TO | IN_CREATE)


class Tail:
    """Returns the lines written after it was created; `source` ends with the earlier ones."""

    def __init__(self, source: Source) -> None:
        self._unfinished = b""
        self._was_removed = False
        """The file was removed, and maybe others between it and the next."""
        self._file = _open(source.path)
        end = LogPosition(0, 0)
        if self._file is not None:
            inode = os.fstat(self._file.fileno()).st_ino
            end = LogPosition(inode, last_line_end(self._file))
        self.source = source._replace(end=end)

    def read(self) -> Iterator[LogLine]:
        """Return the lines that are new and complete."""
        while True:
            following = self._next_file()  # first, so that nothing written before it is missed
            yield from self._rest_of_file()
            if following is None:
                return
            if self._was_removed:
                yield self._note("lines may be missing here: removed before they were read")
            self.close()
            self._file, self._was_removed = following, False
            self._unfinished = b""

    def place(self) -> Source:
        """Return the source up to where it has been read: to the end of the last complete line."""
        if self._file is None:
            return self.source
        offset = self._file.tell() - len(self._unfinished)
        return self.source._replace(end=LogPosition(os.fstat(self._file.fileno()).st_ino, offset))

    def unfinished(self) -> LogLine | None:
        """Return a line that was not complete at the last `read`, if there is one."""
        return parse(self.source, self._unfinished) if self._unfinished else None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _rest_of_file(self) -> Iterator[LogLine]:
        if self._file is not None and not isinstance(self._file, gzip.GzipFile):
            # It may have grown, or been removed because another line comes first.
            self._file.seek(-len(self._unfinished), os.SEEK_CUR)
            self._unfinished = b""
        try:
            while self._file is not None and (data := self._file.read(BLOCK)):
                *lines, self._unfinished = (self._unfinished + data).split(b"\n")
                yield from (parse(self.source, line) for line in lines)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            yield self._note(f"a compressed file is damaged: {error}")

    def _note(self, text: str) -> LogLine:
        time = datetime.now(UTC).astimezone().isoformat(timespec="milliseconds")
        return LogLine(time, self.source.service, f"[pyroctl] {text}", self.source.stream)

    def _next_file(self) -> BinaryIO | gzip.GzipFile | None:
        """Open the file that follows this one; None if this is the current one.

        Repeats the search if files were renamed during it.
        """
        while True:
            with contextlib.suppress(FileNotFoundError):
                found = log_versions(self.source.path)
                place = self._place_among(found)
                if place == 0:
                    return None
                following = _open(found[place - 1])
                now = log_versions(self.source.path)
                if following is not None and (found, place) == (now, self._place_among(now)):
                    self._was_removed = self._file is not None and place == len(found)
                    return following
                if following is not None:
                    following.close()

    def _place_among(self, found: list[str]) -> int:
        """Return how many files are newer than this one: all of them, if it was removed."""
        if self._file is None:
            return len(found)
        inode = os.fstat(self._file.fileno()).st_ino
        for place, name in enumerate(found):
            if os.stat(name).st_ino == inode or self._was_compressed_to(name):
                return place
        return len(found)

    def _was_compressed_to(self, name: str) -> bool:
        """Return whether a compressed file has the content of this one."""
        if not name.endswith(".gz") or self._file is None or isinstance(self._file, gzip.GzipFile):
            return False
        with open(name, "rb") as packed:
            packed.seek(-GZIP_TRAILER.size, os.SEEK_END)
            trailer = packed.read()
        return trailer == _trailer_of(self._file.fileno())


def _trailer_of(descriptor: int) -> bytes:
    """Return the trailer of a gzip file with the content of that file."""
    crc = length = 0
    while data := os.pread(descriptor, 1 << 20, length):
        crc = zlib.crc32(data, crc)
        length += len(data)
    return GZIP_TRAILER.pack(crc, length & 0xFFFFFFFF)


def _open(path: str) -> BinaryIO | gzip.GzipFile | None:
    try:
        # not buffered: what was read last may change
        return gzip.open(path) if path.endswith(".gz") else open(path, "rb", buffering=0)
    except FileNotFoundError:
        return None
