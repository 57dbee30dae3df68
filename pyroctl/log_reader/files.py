"""Reading the log files of several services in chronological order."""

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

from pyroctl.paths import log_versions

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Sequence

    from pyroctl.paths import Paths

BLOCK = 65536


class LogPosition(NamedTuple):
    """A place in a log, where its reader stops."""

    inode: int
    offset: int


class Source(NamedTuple):
    """A log: `path` is its current file, `stream` "output", or "stderr" if logged separately."""

    service: str
    stream: str
    path: str
    end: LogPosition | None = None


def sources_of(paths: Paths, services: Iterable[str]) -> list[Source]:
    """Return the logs of services, whether there are any yet or not."""
    return [
        source
        for name in dict.fromkeys(services)
        for source in (
            Source(name, "output", paths.service_log(name)),
            Source(name, "stderr", paths.service_errors(name)),
        )
    ]


def logged_services(directory: str) -> list[str]:
    """Return the services that have a log in a directory, by name."""
    entries = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    return [e.removesuffix(".log") for e in entries if e.endswith(".log") and e[0] != "_"]


class LogLine(NamedTuple):
    """One line of a log; `time` is ISO 8601 with offset."""

    time: str
    service: str
    text: str
    stream: str

    def moment(self) -> float:
        """Return the time as a number: texts with different offsets are not comparable.

        A line without a time (not written by a manager) counts as the oldest.
        """
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(self.time).timestamp()
        return 0.0


def last_lines(
    sources: Sequence[Source], count: int, pattern: re.Pattern[str] | None = None
) -> list[LogLine]:
    """Return the last `count` lines that match, oldest first, reading no more than necessary."""
    lines: list[LogLine] = []
    for line in newest_first(sources) if count else ():
        if pattern is None or pattern.search(line.text):
            lines.append(line)
            if len(lines) == count:
                break
    return lines[::-1]


def newest_first(sources: Sequence[Source]) -> Iterator[LogLine]:
    """Return all lines from the newest to the oldest, reading no more than the caller takes."""
    backwards = map(lines_backwards, reversed(sources))
    merged = heapq.merge(*backwards, key=lambda each: each[0].moment(), reverse=True)
    return (line for line, *_ in merged)


def lines_since(
    sources: Sequence[Source], since: datetime, pattern: re.Pattern[str] | None = None
) -> Iterator[LogLine]:
    """Return all lines since that time that match, oldest first."""
    start = since.timestamp()
    for line in heapq.merge(*(_forwards(s, start) for s in sources), key=LogLine.moment):
        if line.moment() >= start and (pattern is None or pattern.search(line.text)):
            yield line


def parse(source: Source, raw: bytes) -> LogLine:
    """Return a line of a log file as a LogLine."""
    time, _, text = raw.decode(errors="replace").partition(" ")
    return LogLine(time, source.service, text, source.stream)


def lines_backwards(source: Source) -> Iterator[tuple[LogLine, LogPosition, LogPosition]]:
    """Return the lines of a log from its end back, each with where it begins and ends."""
    for version, end in _versions(source):
        with _opened(version) as file:
            inode = _inode(version)
            for raw, start in _lines_backwards(file, end):
                places = LogPosition(inode, start), LogPosition(inode, start + len(raw) + 1)
                yield parse(source, raw), *places


def lines_from(
    source: Source, place: LogPosition
) -> Iterator[tuple[LogLine, LogPosition, LogPosition]]:
    """Return the whole lines from a place on, as `lines_backwards` does.

    Everything, if the place is not in any file any more.
    """
    found = [version for version, _ in _versions(source._replace(end=None))]
    inodes = [_inode(version) for version in found]
    if place.inode in inodes:
        found = found[: inodes.index(place.inode) + 1]
    for version in reversed(found):
        inode = _inode(version)
        start = place.offset if inode == place.inode else 0
        with _opened(version) as file:
            file.seek(start)
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                end = start + len(raw)
                places = LogPosition(inode, start), LogPosition(inode, end)
                yield parse(source, raw.rstrip(b"\n")), *places
                start = end


def end_of(source: Source) -> LogPosition:
    """Return where the last whole line of a log ends now."""
    try:
        with open(source.path, "rb") as file:
            return LogPosition(os.fstat(file.fileno()).st_ino, last_line_end(file))
    except FileNotFoundError:
        return LogPosition(0, 0)


def last_line_end(file: BinaryIO | gzip.GzipFile) -> int:
    """Go to the end of the last complete line, and return its position."""
    position = file.seek(0, os.SEEK_END)
    while position:
        size = min(BLOCK, position)
        position = file.seek(position - size)
        newline = file.read(size).rfind(b"\n")
        if newline >= 0:
            return file.seek(position + newline + 1)
    return file.seek(0)


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def _forwards(source: Source, start: float) -> Iterator[LogLine]:
    """Return the lines of the files that may contain some since `start`."""
    for version, end in reversed(_versions(source)):
        if _last_change(version) < start - 1:
            continue
        with _opened(version) as file:
            for raw in file:
                if end is not None and file.tell() > end:
                    break
                yield parse(source, raw.rstrip(b"\n"))


def _versions(source: Source) -> list[tuple[str, int | None]]:
    """Return the files up to the source's end, newest first, with their ends (None: all)."""
    found = log_versions(source.path)
    if source.end is None:
        return [(version, None) for version in found]
    for place, version in enumerate(found):
        with contextlib.suppress(FileNotFoundError):
            if os.stat(version).st_ino == source.end.inode:
                older: list[tuple[str, int | None]] = [(name, None) for name in found[place + 1 :]]
                return [(version, source.end.offset), *older]
    return [(version, None) for version in found[1:]] if source.end.inode else []


def _last_change(path: str) -> float:
    """Return when a log's last line was written; a compressed file keeps that time."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path).st_mtime
    return 0.0


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """Open a log file, decompressed if necessary; empty if it has been removed."""
    with contextlib.ExitStack() as stack:
        try:
            file: BinaryIO = stack.enter_context(open(path, "rb"))
        except FileNotFoundError:
            file = stack.enter_context(open(os.devnull, "rb"))
        yield stack.enter_context(_decompressed(file, path)) if path.endswith(".gz") else file


@contextlib.contextmanager
def _decompressed(file: BinaryIO, path: str) -> Iterator[BinaryIO]:
    """Decompress into a temporary file; a damaged file ends with a line that reports it."""
    with tempfile.TemporaryFile() as plain:
        try:
            shutil.copyfileobj(gzip.GzipFile(fileobj=file), plain)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            time = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC).isoformat()
            plain.write(f"\n{time} [pyroctl] the rest of {path} is damaged: {error}\n".encode())
        plain.seek(0)
        yield plain


def _lines_backwards(file: BinaryIO, end: int | None) -> Iterator[tuple[bytes, int]]:
    """Return a file's lines, and where they begin, from the last to the first.

    No more than necessary is read.
    """
    position = file.seek(0, os.SEEK_END) if end is None else end
    rest = b""
    while position:
        size = min(BLOCK, position)
        position = file.seek(position - size)
        block = file.read(size) + rest
        rest, *lines = block.split(b"\n")
        start = position + len(block)
        for line in reversed(lines):
            start -= len(line)
            if line:
                yield line, start
            start -= 1
    if rest:
        yield rest, 0
