"""Tells browsers what is new: states, at most four times a second, and samples."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.web.live.hub import Hub, Listener
    from pyroctl.web.live.watching import ManagerWatch

SHORTEST_INTERVAL = 0.25
"""Seconds between two states for a browser."""


class News:
    """Between the manager's news and the streams. Lives in the event loop's thread."""

    def __init__(self, watch: ManagerWatch, status: Callable[[str], dict[str, Any]]) -> None:
        self._watch = watch
        self._status = status
        self._hub: Hub | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last = -SHORTEST_INTERVAL

    def follow(self, hub: Hub) -> None:
        """Feed the streams of a hub."""
        self._hub = hub
        self._watch.news.append(self._told)
        hub.changed.append(self._looked_at)

    def greet(self, listener: Listener) -> None:
        """Tell a new stream what there is."""
        listener.put("state", self._status(listener.role))
        listener.put("manager", {"alive": self._watch.alive, "error": self._watch.error})

    def close(self) -> None:
        """Tell nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _looked_at(self) -> None:
        assert self._hub is not None
        self._watch.look(closely=self._hub.connected > 0)

    def _told(self, kind: str) -> None:
        assert self._hub is not None
        if kind == "manager":
            alive, error = self._watch.alive, self._watch.error
            self._hub.put("manager", {"alive": alive, "error": error})
        if kind in {"manager", "picture"} and self._timer is None:
            loop = asyncio.get_running_loop()
            due = max(loop.time(), self._last + SHORTEST_INTERVAL)
            self._timer = loop.call_at(due, self._tell_state)

    def _tell_state(self) -> None:
        assert self._hub is not None
        self._timer = None
        self._last = asyncio.get_running_loop().time()
        for listener in self._hub.listeners.values():
            listener.put("state", self._status(listener.role))
