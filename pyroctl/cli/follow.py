"""Follows growing log files: the kernel tells when there is more (inotify(7))."""

from __future__ import annotations

import ctypes
import os
import select
from typing import TYPE_CHECKING, BinaryIO

from pyroctl.cli import logfiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

IN_MODIFY, IN_MOVED_TO, IN_CREATE = 0x2, 0x80, 0x100  # linux/inotify.h


def follow(
    files: dict[str, str],
    count: int | None,
    since: datetime | None,
    show: Callable[[logfiles.Line], None],
) -> None:
    """Show the last lines, then new ones as they come, until KeyboardInterrupt.

    The files' directory must exist or is waited for; a file may still be missing, and may be
    rotated away meanwhile.
    """
    directories = {os.path.dirname(path) for path in files.values()}
    for directory in directories:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    watch = _inotify(directories)
    try:
        tails = [_Tail(service, path) for service, path in files.items()]
        for line in logfiles.last_lines(files, count, since):
            show(line)
        while True:
            new = [line for tail in tails for line in tail.read()]
            for line in sorted(new, key=lambda line: line.time):
                show(line)
            select.select([watch], [], [])
            os.read(watch, 65536)
    finally:
        os.close(watch)


class _Tail:
    """Reads on from where a log file ended, across rotations."""

    def __init__(self, service: str, path: str) -> None:
        self._service = service
        self._path = path
        self._partial = b""
        self._file: BinaryIO | None = self._open()
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def read(self) -> list[logfiles.Line]:
        """Give the lines that are new and complete."""
        raw = self._read_file()
        if self._was_rotated():
            raw += self._read_file()  # what came between our look and the rotation
            if self._file is not None:
                self._file.close()
            self._file = self._open()
            raw += self._read_file()
        *lines, self._partial = (self._partial + raw).split(b"\n")
        return [logfiles.parse(self._service, line) for line in lines]

    def _open(self) -> BinaryIO | None:
        try:
            return open(self._path, "rb")
        except FileNotFoundError:
            return None

    def _read_file(self) -> bytes:
        return self._file.read() if self._file is not None else b""

    def _was_rotated(self) -> bool:
        try:
            now = os.stat(self._path)
        except FileNotFoundError:
            return False
        return self._file is None or os.fstat(self._file.fileno()).st_ino != now.st_ino


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
