"""Reports every change of the names to the manager, so that it knows them when we are killed.

A client that registers a name gets its answer when the manager has seen the name, so that the
manager can find out whose it is while the client is certainly alive. A manager that doesn't react
delays clients once, briefly; what it doesn't read is kept, one entry for each name.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from Pyro5.callcontext import current_context
from Pyro5.core import NAMESERVER_NAME
from Pyro5.nameserver import NameServer
from Pyro5.server import expose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyro_child import ControlChannel
    from pyro_names.guard import NameGuard
    from pyro_names.storage import Entry


SEEN_TIMEOUT = 2.0
"""Seconds for the manager to look at a new name."""


class NameReports:
    """Sends changes over the control channel, in order. May be used by several threads."""

    def __init__(self, channel: ControlChannel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._was_seen = threading.Condition(self._lock)
        self._pending: dict[str, Entry | None] = {}
        self._complete = False
        self._sent = self._seen = self._missed = 0
        """Numbers of reports: the last, the last that was seen, the last that wasn't in time."""
        self._sending_later = False

    def begin(self, everything: Mapping[str, Entry]) -> None:
        """Report all names; the manager forgets what it knew before."""
        with self._lock:
            self._pending, self._complete = dict(everything), True
            self._flush()

    def changed(self, changes: Mapping[str, Entry | None]) -> None:
        """Report names that have changed; None stands for a name that was removed."""
        with self._lock:
            self._pending.update(changes)
            self._flush()

    def seen(self, number: int) -> None:
        """Note that the manager has looked at the report of that number, and those before it."""
        with self._lock:
            self._seen = max(self._seen, number)
            self._was_seen.notify_all()

    def await_seen(self) -> None:
        """Wait until the manager has looked at everything so far, unless it is known not to."""
        with self._lock:
            last = self._sent
            if self._missed <= self._seen and not self._was_seen.wait_for(
                lambda: self._seen >= last, SEEN_TIMEOUT
            ):
                self._missed = last

    def _flush(self) -> None:
        if not self._sending_later and not self._send():
            self._sending_later = True
            threading.Thread(target=self._send_later, name="reports", daemon=True).start()

    def _send(self) -> bool:
        """Send what is pending; return False if the manager has to read first."""
        names = {
            name: None if entry is None else [str(entry[0]), sorted(entry[1] or ())]
            for name, entry in self._pending.items()
        }
        more = {"number": self._sent + 1, "complete": self._complete}
        if not self._channel.report("names", names=names, **more):
            return False
        self._pending, self._complete = {}, False
        self._sent += 1
        return True

    def _send_later(self) -> None:
        while self._channel.await_writable():
            with self._lock:
                if self._send():
                    self._sending_later = False
                    return


@expose
class WatchedNameServer(NameServer):  # type: ignore[misc] # Pyro5 ships no types
    """Pyro5's name server, whose names a manager may watch and guard."""

    def __init__(self, storage: Any, guard: NameGuard) -> None:
        super().__init__(storage)
        self._reports: NameReports | None = None
        self._guard = guard
        self._lookups = 0
        self._counting = threading.Lock()

    def lookup(self, name: str, return_metadata: bool = False) -> Any:
        """Look a name up as Pyro5 does, and count it."""
        with self._counting:
            self._lookups += 1
        return super().lookup(name, return_metadata)

    def register(self, name: str, uri: Any, safe: bool = False, metadata: Any = None) -> None:
        """Register a name as Pyro5 does; return when the manager has seen it."""
        if not self._has(name, str(uri), metadata):  # the same again does no harm
            self._check([name])
        super().register(name, uri, safe, metadata)
        if self._reports is not None:
            self._reports.await_seen()

    def set_metadata(self, name: str, metadata: Any) -> None:
        """Set the metadata of a name as Pyro5 does."""
        self._check([name])
        super().set_metadata(name, metadata)

    def remove(self, name: Any = None, prefix: Any = None, regex: Any = None) -> int:
        """Remove names as Pyro5 does: all of them or, if one is guarded, none."""
        if name and name != NAMESERVER_NAME:
            names = [str(name)]
            prefix = regex = None
        else:  # Pyro5 keeps its own name, and goes on with the others
            name = None
            names = list(self.list(prefix, regex)) if prefix or regex else []
            names = [each for each in names if each != NAMESERVER_NAME]
        self._check(names)
        removed: int = super().remove(name, prefix, regex)
        self._guard.release(each for each in names if each not in self.storage)
        return removed

    def _has(self, name: str, uri: str, metadata: Any) -> bool:
        """Return whether a name is registered with exactly this."""
        known = self.storage.get(name)
        if known is None or known[0] != uri:
            return False
        return set(known[1] or ()) == set(metadata or ())

    def _check(self, names: list[str]) -> None:
        """Raise NamingError if the client of this call may not change these names.

        A call from inside this process has no client, and a service of ours has proved it.
        """
        client = current_context.client
        if client is not None and not getattr(client, "is_ours", False):
            self._guard.check(names, current_context.client_sock_addr, client.sock.getsockname())

    def _report_to(self, reports: NameReports) -> None:
        """Report all names now, and each change from now on; not for clients."""
        with self.lock:
            reports.begin(self.list(return_metadata=True))
            self.storage.watcher = reports.changed
            self._reports = reports
