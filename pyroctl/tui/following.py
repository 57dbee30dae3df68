"""Follows the logs of all services in the event loop; inotify(7) reports new lines."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
from typing import TYPE_CHECKING

from pyroctl.inotify import IN_NONBLOCK, Inotify
from pyroctl.log_reader.files import LogLine, sources_of
from pyroctl.log_reader.tail import Tail, watch_directories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyroctl.log_reader.files import Source
    from pyroctl.paths import Paths

PAUSE = 0.1
"""Seconds for which new lines are collected, so that a flood of them is read in large pieces."""


class LogFollower:
    """Passes the lines that are written from now on to `receive`; for the event loop's thread."""

    def __init__(self, paths: Paths, receive: Callable[[list[LogLine]], None]) -> None:
        """Raise OSError if there can be no more watches."""
        self._paths = paths
        self._receive = receive
        self._tails: dict[str, list[Tail]] = {}
        self._watch = Inotify(IN_NONBLOCK)
        self._due: asyncio.TimerHandle | None = None
        asyncio.get_running_loop().add_reader(self._watch.fileno(), self._changed)
        self._watch_again()

    def follow(self, services: Iterable[str]) -> None:
        """Follow the logs of these services, too."""
        for name in services:
            if name not in self._tails:
                self._tails[name] = [Tail(source) for source in sources_of(self._paths, [name])]

    def sources(self, services: Iterable[str]) -> Sequence[Source]:
        """Return the logs of services up to where they have been read; what comes is received."""
        self._read()
        return [tail.place() for name in services for tail in self._tails.get(name, ())]

    def close(self) -> None:
        """Follow nothing more."""
        asyncio.get_running_loop().remove_reader(self._watch.fileno())
        self._watch.close()
        if self._due is not None:
            self._due.cancel()
        for tails in self._tails.values():
            for tail in tails:
                tail.close()

    def _changed(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._watch.clear()
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(PAUSE, self._read)

    def _read(self) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = None
        self._watch_again()
        tails = [tail.read() for tails in self._tails.values() for tail in tails]
        with contextlib.suppress(OSError):
            lines = list(heapq.merge(*tails, key=LogLine.moment))
            if lines:
                self._receive(lines)

    def _watch_again(self) -> None:
        """Watch the directory, which may have been made or replaced."""
        if os.path.isdir(os.path.dirname(self._paths.logs)):
            watch_directories(self._watch, {self._paths.logs})
