"""Watches services for the descriptor store while no manager is running."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

from pyroctl.manager.process.notify import NotifySocket
from pyroctl.manager.process.pidfd import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class UnattendedMonitor:
    """From the end of one manager to the start of the next; in the event loop's thread.

    `sockets` are the services' notification sockets with the users whose messages count: unread,
    the sockets would fill up and block the services. `on_empty` is called when no process of `pids`
    is left.
    """

    def __init__(
        self,
        sockets: Mapping[str, tuple[int, frozenset[int]]],
        pids: Iterable[int],
        on_empty: Callable[[], None],
    ) -> None:
        self.since = time.time()
        self.messages: dict[str, dict[str, str]] = {name: {} for name in sockets}
        """What has arrived, by socket; later values of a field replace earlier ones."""
        self._sockets = [
            NotifySocket("", uids, self.messages[name].update, fd=os.dup(fd))
            for name, (fd, uids) in sockets.items()
        ]
        self._on_empty = on_empty
        self._watches: dict[int, ProcessWatch] = {}
        for pid in pids:
            try:
                self._watches[pid] = ProcessWatch(pid, partial(self._ended, pid))
            except ProcessLookupError:
                continue

    @property
    def empty(self) -> bool:
        """Whether no process is left."""
        return not self._watches

    def stop(self) -> None:
        """Leave everything to a manager."""
        for sock in self._sockets:
            sock.detach()
        for watch in self._watches.values():
            watch.cancel()

    def _ended(self, pid: int) -> None:
        del self._watches[pid]
        if self.empty:
            self._on_empty()
