"""Follow growing log files, also while they are rotated; inotify(7) reports new lines."""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import heapq
import os
import select
import signal
import struct
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from pyroctl.cli.log_reader.files import BLOCK, LogLine, LogPosition, parse
from pyroctl.paths import log_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pyroctl.cli.log_reader.files import Source

IN_MODIFY, IN_MOVED_TO, IN_CREATE = 0x2, 0x80, 0x100  # linux/inotify.h
GZIP_TRAILER = struct.Struct("<II")
"""At the end of a gzip file: CRC-32 and length of what is in it (RFC 1952)."""


def follow(
    sources: Sequence[Source],
    before: Callable[[Sequence[Source]], Iterable[LogLine]],
    show: Callable[[LogLine], None],
) -> None:
    """Show the lines `before`, then new ones as they come, until KeyboardInterrupt.

    `before` is asked for what the sources have up to now, each line once. Their directories must
    exist or are waited for; a file may still be missing, and may be put aside meanwhile.
    """
    directories = {os.path.dirname(source.path) for source in sources}
    for directory in directories:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as stack:
        watch = _inotify(directories)
        stack.callback(os.close, watch)
        interrupted = _wake_on_signals()
        stack.callback(os.close, interrupted)
        tails = [stack.enter_context(contextlib.closing(Tail(source))) for source in sources]
        for line in before([tail.source for tail in tails]):
            show(line)
        while True:
            for line in heapq.merge(*(tail.read() for tail in tails), key=LogLine.moment):
                show(line)
            if watch in select.select([watch, interrupted], [], [])[0]:
                os.read(watch, 65536)


def _wake_on_signals() -> int:
    """Give a descriptor that a signal makes readable.

    A Ctrl-C just before the system call that waits would go unnoticed until the next line comes.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    return reading


def _inotify(directories: set[str]) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    watch: int = libc.inotify_init1(os.O_CLOEXEC)
    if watch < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for directory in directories:
        mask = IN_MODIFY | IN_MOVED_TO | IN_CREATE
        if libc.inotify_add_watch(watch, os.fsencode(directory), mask) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return watch


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
                found = log_versions(self.source.path)
                place = self._place_among(found)
                if place == 0:
                    return None
                following = _open(found[place - 1])
                now = log_versions(self.source.path)
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
