"""Reports every change of the names to the manager, so that it knows them when we are killed.

A client that registers a name has its answer after the report has been written. A manager that
doesn't read delays nobody: what it hasn't read is kept, one entry for each name.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyro_child import ControlChannel
    from pyro_names.storage import Entry


class NameReports:
    """Sends changes over the control channel, in order. May be used by several threads."""

    def __init__(self, channel: ControlChannel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._pending: dict[str, Entry | None] = {}
        self._complete = False
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
        if not self._channel.report("names", names=names, complete=self._complete):
            return False
        self._pending, self._complete = {}, False
        return True

    def _send_later(self) -> None:
        while self._channel.await_writable():
            with self._lock:
                if self._send():
                    self._sending_later = False
                    return
