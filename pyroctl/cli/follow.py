"""Follows growing log files: the kernel tells when there is more (inotify(7))."""

from __future__ import annotations

import ctypes
import os
import select
import signal
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
    interrupted = _wake_on_signals()
    tails = [_Tail(service, path) for service, path in files.items()]
    try:
        for line in logfiles.last_lines(files, count, since):
            show(line)
        while True:
            new = [line for tail in tails for line in tail.read()]
            for line in sorted(new, key=lambda line: line.time):
                show(line)
            if watch in select.select([watch, interrupted], [], [])[0]:
                os.read(watch, 65536)
    finally:
        os.close(watch)
        os.close(interrupted)
        for tail in tails:
            tail.close()


class _Tail:
    """Reads on from where a log file ended, across any number of rotations."""

    def __init__(self, service: str, path: str) -> None:
        self._service = service
        self._path = path
        self._partial = b""
        self._file = _open(path)
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def read(self) -> list[logfiles.Line]:
        """Give the lines that are new and complete."""
        raw = b""
        while True:
            following = self._next_file()  # looked up first: what is written until then is read
            if self._file is not None:
                raw += self._file.read()
            if following is None:
                break
            if self._file is not None:
                self._file.close()
            self._file = following
        *lines, self._partial = (self._partial + raw).split(b"\n")
        return [logfiles.parse(self._service, line) for line in lines]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _next_file(self) -> BinaryIO | None:
        """Open the file that follows ours; None while ours is the current one."""
        if self._file is None:
            return _open(self._path)
        ours = os.fstat(self._file.fileno()).st_ino
        while True:
            inodes = [os.stat(version).st_ino for version in logfiles.versions(self._path)]
            if not inodes or inodes[0] == ours:
                return None
            place = inodes.index(ours) if ours in inodes else len(inodes)
            following = _open(self._path if place == 1 else f"{self._path}.{place - 1}")
            if following is not None and os.fstat(following.fileno()).st_ino == inodes[place - 1]:
                return following
            if following is not None:
                following.close()  # rotated between our two looks


def _open(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        return None


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
