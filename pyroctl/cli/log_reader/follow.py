"""Follows growing log files: the kernel tells when there is more (inotify(7))."""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import os
import select
import signal
import sys
from typing import TYPE_CHECKING

from pyroctl.cli.log_reader.files import LogLine
from pyroctl.cli.log_reader.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyroctl.cli.log_reader.files import Source

IN_MODIFY, IN_MOVED_TO, IN_CREATE = 0x2, 0x80, 0x100  # linux/inotify.h


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
            sys.stdout.flush()  # into a pipe, too, a line comes when it was written
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
