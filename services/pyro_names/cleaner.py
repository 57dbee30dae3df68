"""Removes the names of objects that are gone.

Pyro5 also has such a cleaner, but a name on a Unix socket kills it, it delays the end of the
process, and it removes a name even if the name was registered again in the meantime.
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
"""Seconds until a name with an unreachable address is removed, as in Pyro5."""

CONNECT_TIMEOUT = 2.0
"""Seconds."""

_log = logging.getLogger("pyro_names.cleaner")


class Cleaner:
    """Connects to every registered address each `interval` seconds.

    `start` and `stop` are for the owner's thread; `clean` runs in a thread of its own. A
    connection shows only that a program listens, so a name survives when another program takes
    over its port.
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
        """Start the thread; it first looks after one interval."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, without waiting for a connection that is being tried."""
        self._stopped.set()
        self._thread.join(0.1)

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            try:
                self.clean(time.monotonic())
            except (
                PyroError
            ) as error:  # the storage is locked or damaged; the next round may succeed
                _log.warning("can't look for dead names: %s", error)

    def clean(self, now: float) -> None:
        """Try every name once, and remove those unreachable for too long by `now`, in seconds."""
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
                return  # registered again in the meantime
            self._nameserver.remove(name)
        self.removed += 1
        _log.info("removed %s: nothing has answered at %s for %d s", name, uri, UNREACHABLE_LIMIT)


def can_connect(uri: str) -> bool:
    """Return whether a program listens at the address of `uri`; True if it has no address."""
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
