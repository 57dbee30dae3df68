"""Removes names that nobody serves any more.

Pyro5 has such a cleaner, too; it dies of a name on a Unix socket, delays the end of the process,
and removes a name even if it was registered anew meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from Pyro5.core import NAMESERVER_NAME, URI
from Pyro5.errors import PyroError

from pyro_wire.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from Pyro5.nameserver import NameServer

UNREACHABLE_LIMIT = 20.0
"""Seconds that a name stays although nobody can connect to its address; Pyro5 has the same."""

CONNECT_TIMEOUT = 2.0
"""Seconds."""

_log = logging.getLogger("pyro_names.cleaner")


class Cleaner:
    """Connects to every registered address now and then; `interval` in seconds.

    `start` and `stop` are for the owner's thread; `clean` runs in a thread of its own. That
    somebody listens is all that a connection can tell, so a name outlives a change of programs on
    its port.
    """

    def __init__(
        self,
        nameserver: NameServer,
        interval: float,
        reachable: Callable[[str], bool] | None = None,
    ) -> None:
        self._nameserver = nameserver
        self._interval = interval
        self._reachable = reachable or can_connect
        self._since: dict[tuple[str, str], float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cleaner", daemon=True)
        self.removed = 0
        """How many names were removed since the start."""

    def start(self) -> None:
        """Begin to look, for the first time after one interval."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a connection that is being tried is not waited for."""
        self._stopped.set()
        self._thread.join(0.1)

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            try:
                self.clean(time.monotonic())
            except PyroError as error:  # the storage is locked or ill: the next round may do
                _log.warning("can't look for dead names: %s", error)

    def clean(self, now: float) -> None:
        """Try every name once and remove what has been unreachable for too long; `now` in s."""
        known = set(self._nameserver.list().items())
        self._since = {entry: since for entry, since in self._since.items() if entry in known}
        for entry in sorted(known):
            name, uri = entry
            if self._stopped.is_set():
                return
            if name == NAMESERVER_NAME or self._reachable(uri):
                self._since.pop(entry, None)
            elif now - self._since.setdefault(entry, now) >= UNREACHABLE_LIMIT:
                self._remove(name, uri)

    def _remove(self, name: str, uri: str) -> None:
        with self._nameserver.lock:
            if self._nameserver.list(prefix=name).get(name) != uri:
                return  # registered anew meanwhile
            self._nameserver.remove(name)
        self.removed += 1
        _log.info("removed %s: nobody has served %s for %d s", name, uri, UNREACHABLE_LIMIT)


def can_connect(uri: str) -> bool:
    """Say whether somebody listens at the address; what has no address of its own counts as yes."""
    try:
        parsed = URI(uri)
    except PyroError:
        return True
    try:
        if parsed.location:
            connect(parsed, CONNECT_TIMEOUT).close()
    except OSError:
        return False
    return True
