"""Reads the log files that a manager writes: several services, in order of time."""

from __future__ import annotations

import contextlib
import gzip
import heapq
import os
import shutil
import tempfile
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pyroctl.log_files import versions

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence

BLOCK = 65536


class LogPosition(NamedTuple):
    """A place in a log: what comes after it is somebody else's to read."""

    inode: int
    offset: int


class Source(NamedTuple):
    """A log: the file that is written now; `stream` is "output", or "stderr" if that is apart."""

    service: str
    stream: str
    path: str
    end: LogPosition | None = None


class LogLine(NamedTuple):
    """One line of a log; `time` is ISO 8601 with offset."""

    time: str
    service: str
    text: str
    stream: str

    def moment(self) -> float:
        """Give the time to order by: texts with different offsets can't be compared.

        What doesn't begin with a time (somebody wrote into the file) counts as the oldest.
        """
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(self.time).timestamp()
        return 0.0


def last_lines(
    sources: Sequence[Source], count: int, wanted: re.Pattern[str] | None = None
) -> list[LogLine]:
    """Give the last `count` lines that match, oldest first; only what is needed is read."""
    backwards = map(_backwards, reversed(sources))
    newest_first = heapq.merge(*backwards, key=LogLine.moment, reverse=True)
    lines: list[LogLine] = []
    for line in newest_first if count else ():
        if wanted is None or wanted.search(line.text):
            lines.append(line)
            if len(lines) == count:
                break
    return lines[::-1]


def lines_since(
    sources: Sequence[Source], since: datetime, wanted: re.Pattern[str] | None = None
) -> Iterator[LogLine]:
    """Give all lines from that time on that match, oldest first."""
    start = since.timestamp()
    for line in heapq.merge(*(_forwards(s, start) for s in sources), key=LogLine.moment):
        if line.moment() >= start and (wanted is None or wanted.search(line.text)):
            yield line


def parse(source: Source, raw: bytes) -> LogLine:
    """Take a line of a log file apart."""
    time, _, text = raw.decode(errors="replace").partition(" ")
    return LogLine(time, source.service, text, source.stream)


def _backwards(source: Source) -> Iterator[LogLine]:
    for version, end in _versions(source):
        with _opened(version) as file:
            for raw in _lines_backwards(file, end):
                yield parse(source, raw)


def _forwards(source: Source, start: float) -> Iterator[LogLine]:
    """Give the lines of the files that may have some from `start` on."""
    for version, end in reversed(_versions(source)):
        if _last_change(version) < start - 1:
            continue
        with _opened(version) as file:
            for raw in file:
                if end is not None and file.tell() > end:
                    break
                yield parse(source, raw.rstrip(b"\n"))


def _versions(source: Source) -> list[tuple[str, int | None]]:
    """Give the files up to the source's end, newest first, and where each ends (None: as it is)."""
    found = versions(source.path)
    if source.end is None:
        return [(version, None) for version in found]
    for place, version in enumerate(found):
        with contextlib.suppress(FileNotFoundError):
            if os.stat(version).st_ino == source.end.inode:
                older: list[tuple[str, int | None]] = [(name, None) for name in found[place + 1 :]]
                return [(version, source.end.offset), *older]
    return [(version, None) for version in found[1:]] if source.end.inode else []


def _last_change(path: str) -> float:
    """Give when a log's last line was written; a compressed file keeps that."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path).st_mtime
    return 0.0


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """Open a log file, unpacked if it is compressed; empty if it was removed meanwhile."""
    with contextlib.ExitStack() as stack:
        try:
            file: BinaryIO = stack.enter_context(open(path, "rb"))
        except FileNotFoundError:
            file = stack.enter_context(open(os.devnull, "rb"))
        yield stack.enter_context(_unpacked(file, path)) if path.endswith(".gz") else file


@contextlib.contextmanager
def _unpacked(file: BinaryIO, path: str) -> Iterator[BinaryIO]:
    """Unpack into a file without a name; what is damaged ends with a line that says so."""
    with tempfile.TemporaryFile() as plain:
        try:
            shutil.copyfileobj(gzip.GzipFile(fileobj=file), plain)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            time = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC).isoformat()
            plain.write(f"\n{time} [pyroctl] the rest of {path} is damaged: {error}\n".encode())
        plain.seek(0)
        yield plain


def _lines_backwards(file: BinaryIO, end: int | None) -> Iterator[bytes]:
    """Give a file's lines from the last to the first, reading only what is asked for."""
    position = file.seek(0, os.SEEK_END) if end is None else end
    rest = b""
    while position:
        size = min(BLOCK, position)
        position = file.seek(position - size)
        first, *lines = (file.read(size) + rest).split(b"\n")
        rest = first
        yield from (line for line in reversed(lines) if line)
    if rest:
        yield rest
