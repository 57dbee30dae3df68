"""Reads on at the end of one log, whatever becomes of its files."""

from __future__ import annotations

import contextlib
import gzip
import os
import struct
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from pyroctl.cli.log_reader.files import BLOCK, LogLine, LogPosition, parse
from pyroctl.log_files import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.cli.log_reader.files import Source

GZIP_TRAILER = struct.Struct("<II")
"""At the end of a gzip file: CRC-32 and length of what is in it (RFC 1952)."""


class Tail:
    """Gives the lines that come after it was made; `source` is what was there before."""

    def __init__(self, source: Source) -> None:
        self._unfinished = b""
        self._is_gone = False
        """Our file was removed; what follows it may not be the next."""
        self._file = _open(source.path)
        mark = LogPosition(0, 0)
        if self._file is not None:
            mark = LogPosition(
                os.fstat(self._file.fileno()).st_ino, self._file.seek(0, os.SEEK_END)
            )
        self.source = source._replace(end=mark)

    def read(self) -> Iterator[LogLine]:
        """Give the lines that are new and complete."""
        while True:
            following = self._next_file()  # looked up first: what is written until then is read
            yield from self._rest_of_file()
            if following is None:
                return
            if self._is_gone:
                yield self._note("lines may be missing here: they were gone before we came to read")
            self.close()
            self._file, self._is_gone = following, False

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _rest_of_file(self) -> Iterator[LogLine]:
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
        """Open the file that follows ours; None while ours is the current one.

        Files are renamed while we look: then we look again.
        """
        while True:
            with contextlib.suppress(FileNotFoundError):
                found = versions(self.source.path)
                place = self._place_among(found)
                if place == 0:
                    return None
                following = _open(found[place - 1])
                now = versions(self.source.path)
                if following is not None and (found, place) == (now, self._place_among(now)):
                    self._is_gone = self._file is not None and place == len(found)
                    return following
                if following is not None:
                    following.close()

    def _place_among(self, found: list[str]) -> int:
        """Tell how many files are newer than ours; all, if we have none or it is no more there."""
        if self._file is None:
            return len(found)
        inode = os.fstat(self._file.fileno()).st_ino
        for place, name in enumerate(found):
            if os.stat(name).st_ino == inode or self._was_packed_as(name):
                return place
        return len(found)

    def _was_packed_as(self, name: str) -> bool:
        """Tell whether a compressed file has just what ours has."""
        if not name.endswith(".gz") or self._file is None or isinstance(self._file, gzip.GzipFile):
            return False
        with open(name, "rb") as packed:
            packed.seek(-GZIP_TRAILER.size, os.SEEK_END)
            trailer = packed.read()
        return trailer == _trailer_of(self._file.fileno())


def _trailer_of(descriptor: int) -> bytes:
    """Give how a gzip file ends that has that file's content."""
    crc = length = 0
    while data := os.pread(descriptor, 1 << 20, length):
        crc = zlib.crc32(data, crc)
        length += len(data)
    return GZIP_TRAILER.pack(crc, length & 0xFFFFFFFF)


def _open(path: str) -> BinaryIO | gzip.GzipFile | None:
    try:
        return gzip.open(path) if path.endswith(".gz") else open(path, "rb")
    except FileNotFoundError:
        return None
