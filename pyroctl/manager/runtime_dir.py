"""Watches the runtime directory, which others may remove: a logout, a cleaner of /tmp, a person."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from pyroctl.inotify import (
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_NONBLOCK,
    Inotify,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

SETTLE_TIME = 0.2
"""Seconds from an event to the repair: an `rm -r` that is still busy would fail."""
MOST_ROUNDS = 5
"""Repairs in a row; what is removed after that is found at the next event."""
GONE = IN_DELETE_SELF | IN_MOVE_SELF
LOSS = IN_DELETE | IN_MOVED_FROM

log = logging.getLogger(__name__)


class RuntimeDirWatch:
    """Calls `repair` when something in one of the directories, or one of them, is removed.

    Also when a directory appears in which a missing one could be made. `repair` returns whether
    something was missing, and has to tolerate calls without a reason.
    """

    def __init__(self, directories: Sequence[str], repair: Callable[[], Awaitable[bool]]) -> None:
        self._directories = directories
        self._repair = repair
        self._inotify: Inotify | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Watch from now on; without inotify only this first repair is made."""
        try:
            self._inotify = Inotify(IN_NONBLOCK)
        except OSError as error:
            log.warning("the runtime directory isn't watched: %s", error.strerror)
        else:
            asyncio.get_running_loop().add_reader(self._inotify, self._changed)
        await self._check()

    def stop(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify)
            self._inotify.close()
            self._inotify = None
        for pending in (self._timer, self._task):
            if pending is not None:
                pending.cancel()

    def _changed(self) -> None:
        assert self._inotify is not None
        self._inotify.clear()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SETTLE_TIME, self._settled)

    def _settled(self) -> None:
        self._timer = None
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._check())
        else:
            self._task.add_done_callback(lambda _: self._changed_again())

    def _changed_again(self) -> None:
        if self._inotify is not None:
            self._settled()

    async def _check(self) -> None:
        for _ in range(MOST_ROUNDS):
            self._watch_all()
            if not await self._repair():
                break
        self._watch_all()

    def _watch_all(self) -> None:
        """Watch everything that exists: what was made again is another directory."""
        if self._inotify is None:
            return
        for directory, mask in self._masks():
            try:
                self._inotify.add(directory, mask)
            except (PermissionError, FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                log.warning("%s isn't watched: %s", directory, error.strerror)

    def _masks(self) -> Iterator[tuple[str, int]]:
        masks: dict[str, int] = {}
        for directory in self._directories:
            masks[directory] = masks.get(directory, 0) | GONE | LOSS
            child = directory
            while (parent := os.path.dirname(child)) != child:
                masks[parent] = masks.get(parent, 0) | GONE
                if not os.path.isdir(child):
                    masks[parent] |= IN_CREATE | IN_MOVED_TO | LOSS  # of what is in its place
                child = parent
        return iter(masks.items())
