"""What the keeper does besides while there is no manager: it listens, and sees who lives."""

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
    """From the end of one manager to the beginning of the next; in the event loop's thread.

    `sockets` are the services' notification sockets and whose messages count there: unread, they
    would fill up and stop the services. `on_alone` is called when no process of `pids` is left.
    """

    def __init__(
        self,
        sockets: Mapping[str, tuple[int, frozenset[int]]],
        pids: Iterable[int],
        on_alone: Callable[[], None],
    ) -> None:
        self.since = time.time()
        self.said: dict[str, dict[str, str]] = {name: {} for name in sockets}
        """What came, by the socket's name; later values of a field replace earlier ones."""
        self._sockets = [
            NotifySocket("", uids, self.said[name].update, fd=os.dup(fd))
            for name, (fd, uids) in sockets.items()
        ]
        self._on_alone = on_alone
        self._watches: dict[int, ProcessWatch] = {}
        for pid in pids:
            try:
                self._watches[pid] = ProcessWatch(pid, partial(self._ended, pid))
            except ProcessLookupError:
                continue

    @property
    def alone(self) -> bool:
        """Whether no process is left."""
        return not self._watches

    def end(self) -> None:
        """Leave everything to a manager."""
        for sock in self._sockets:
            sock.leave()
        for watch in self._watches.values():
            watch.cancel()

    def _ended(self, pid: int) -> None:
        del self._watches[pid]
        if not self._watches:
            self._on_alone()
