"""Follow growing log files, also while they are rotated; inotify(7) reports new lines."""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import signal
from typing import TYPE_CHECKING

from pyroctl.inotify import Inotify
from pyroctl.log_reader.files import LogLine
from pyroctl.log_reader.tail import Tail, watch_directories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyroctl.log_reader.files import Source


def follow(
    sources: Sequence[Source],
    before: Callable[[Sequence[Source]], Iterable[LogLine]],
    show: Callable[[LogLine], None],
    show_unfinished: Callable[[LogLine], None],
    output: int,
) -> None:
    """Show the lines `before`, then new ones as they arrive, until KeyboardInterrupt.

    After those, `show_unfinished` gets each line that was begun, as far as it is known; `show` gets
    the whole of it later. Returns when nobody reads the pipe `output`, a descriptor, any more.
    `before` returns lines of the sources up to their `end`, so each line is shown once. Missing
    directories are created; files may be missing, and may be rotated at any time.
    """
    directories = {os.path.dirname(source.path) for source in sources}
    for directory in directories:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(contextlib.closing(Inotify()))
        watch_directories(watch, directories)
        interrupted = _wake_on_signals()
        stack.callback(os.close, interrupted)
        events = select.poll()
        for descriptor in (watch.fileno(), interrupted):
            events.register(descriptor, select.POLLIN)
        events.register(output, 0)  # for errors only: the other end was closed
        tails = [stack.enter_context(contextlib.closing(Tail(source))) for source in sources]
        for line in before([tail.source for tail in tails]):
            show(line)
        while True:
            for line in heapq.merge(*(tail.read() for tail in tails), key=LogLine.moment):
                show(line)
            for tail in tails:
                if (begun := tail.unfinished()) is not None:
                    show_unfinished(begun)
            found = dict(events.poll())
            if output in found:
                return
            if watch.fileno() in found:
                watch.clear()
                watch_directories(watch, directories)


def _wake_on_signals() -> int:
    """Return a descriptor that a signal makes readable.

    Otherwise a Ctrl-C just before select() would have no effect until the next line arrives.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    return reading
