"""Screen 5: who needs whom, and what flows between whom."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyroctl.control.async_client import ask
from pyroctl.errors import PyroctlError
from pyroctl.tui.panes.pane import Pane
from pyroctl.view.relations import flow, topology

if TYPE_CHECKING:
    from pyroctl.tui.app import Top
    from pyroctl.view.lines import Line

INTERVAL = 2.0
"""Seconds between two looks at what flows."""


class TopologyPane(Pane):
    """The tree of needs, and below it publishers and subscribers of each event service."""

    LIVE = True
    MARKS = True

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self._flows: list[Line] = []

    def opened(self) -> None:
        """Begin to look."""
        self.run_worker(self._look(), exclusive=True)

    def closed(self) -> None:
        """End that."""
        self.workers.cancel_node(self)

    def draw(self) -> None:
        """Show the graph."""
        data = self.top.data
        self.list.show([*topology(data["services"]), *self._flows])

    async def _look(self) -> None:
        while True:
            found: list[Line] = []
            for row in self.top.data["services"]:
                if row["kind"] == "eventservice" and row["state"] == "running":
                    found += await self._flow(row["name"])
            self._flows = found
            self.top.draw_soon()
            await asyncio.sleep(INTERVAL)

    async def _flow(self, service: str) -> list[Line]:
        paths = self.top.deployment.paths
        request = {"services": [service], **self.top.deployment.request}
        try:
            subjects = (await ask(paths, "subjects", request))["data"]
            heard = (await ask(paths, "subscriptions", request))["data"]
        except PyroctlError:
            return []
        if subjects is None or heard is None:
            return []
        return list(flow(service, subjects, heard["subscriptions"]))
