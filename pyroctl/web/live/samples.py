"""Measurements as they come: for the history, and for the browsers that look.

A message `sample` has `{"time", "services": {NAME: {NUMBER: value}}}`; the numbers are those of
`view.sample`: rates per second, bytes, seconds; None is unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.view.rates import rates
from pyroctl.view.sample import sample

if TYPE_CHECKING:
    from pyroctl.web.history.file import HistoryFile
    from pyroctl.web.live.hub import Hub
    from pyroctl.web.live.watching import ManagerWatch

LONGEST_INTERVAL = 60.0
"""Seconds between two measurements of which rates are made."""
SHORTEST_INTERVAL = 0.5


class Samples:
    """Passes each measurement on. Lives in the event loop's thread."""

    def __init__(self, watch: ManagerWatch, hub: Hub, history: HistoryFile | None) -> None:
        self._watch = watch
        self._hub = hub
        self._history = history
        self._last: Any = None
        self.newest: dict[str, Any] | None = None
        """The last message."""
        watch.news.append(self._told)

    def _told(self, kind: str) -> None:
        now = self._watch.picture.sample
        if kind != "sample" or now is None:
            return
        before, seconds = self._last, 0.0
        if before is not None:
            seconds = now["clock"] - before["clock"]
            if 0 <= seconds < SHORTEST_INTERVAL:
                return
            if not 0 <= seconds <= LONGEST_INTERVAL:
                before = None
        self._last = now
        numbers = sample(before, now, rates(before, now))
        self.newest = {"time": now["time"], "services": numbers}
        if self._history is not None:
            named = (
                (f"{s}/{key}", value) for s, row in numbers.items() for key, value in row.items()
            )
            self._history.add(now["time"], dict(named))
        if self._hub.connected:
            self._hub.put("sample", self.newest)
