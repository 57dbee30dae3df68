"""Writes down what happens, and tells the streams with the topic `timeline`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pyroctl.errors import UsageError
from pyroctl.log_reader.files import last_lines
from pyroctl.log_reader.sources import sources
from pyroctl.view.timeline import entry, happened

if TYPE_CHECKING:
    from pyroctl.paths import Paths
    from pyroctl.web.history.journal import Journal
    from pyroctl.web.live.hub import Hub
    from pyroctl.web.live.watching import ManagerWatch
    from pyroctl.web.security.policy import Principal

TOPIC = "timeline"
LAST_WORDS = 20
LONGEST_WORD = 500


class Timeline:
    """Compares each picture with the one before. Lives in the event loop's thread."""

    def __init__(self, watch: ManagerWatch, hub: Hub, journal: Journal, paths: Paths) -> None:
        self._watch = watch
        self._hub = hub
        self._paths = paths
        self.journal = journal
        self._rows: list[dict[str, Any]] = []
        self._reloaded: float | None = None
        watch.news.append(self._told)

    def act(
        self, principal: Principal, text: str, service: str | None = None, outcome: str = "done"
    ) -> None:
        """Write down what somebody has done."""
        who = {"who": principal.name, "role": principal.role, "from": principal.peer}
        self.add(entry(time.time(), service, "action", text, **who, outcome=outcome))

    def add(self, new: dict[str, Any]) -> None:
        """Write down an entry."""
        self.journal.add(new)
        self._hub.put("timeline", new, TOPIC)

    def _told(self, kind: str) -> None:
        if kind == "manager":
            text = "the manager answers" if self._watch.alive else self._watch.error
            self.add(entry(time.time(), None, "manager", text))
        elif kind == "sample":
            self._note_reload()
        else:
            self._note_services()

    def _note_services(self) -> None:
        rows = self._watch.status()["services"]
        for new in happened(self._rows, rows, time.time()):
            if new.get("code") or new.get("state") == "failed":
                new["lines"] = self._last_words(new["service"])
            self.add(new)
        self._rows = rows

    def _note_reload(self) -> None:
        manager = (self._watch.picture.sample or {}).get("manager", {})
        loaded = manager.get("last_reload_time")
        if self._reloaded is not None and loaded not in {None, self._reloaded}:
            self.add(entry(loaded, None, "reload", "the configuration was read again"))
        self._reloaded = loaded

    def _last_words(self, service: str) -> list[str]:
        """Return the last lines that a service has written."""
        try:
            found = last_lines(sources(self._paths, [service]), LAST_WORDS)
        except (OSError, UsageError):  # it has no log
            return []
        return [line.text[:LONGEST_WORD] for line in found]
