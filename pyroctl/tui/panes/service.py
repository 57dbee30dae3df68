"""Screen 2: one service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pyroctl.control.async_client import ask
from pyroctl.errors import PyroctlError
from pyroctl.log_reader.files import last_lines, sources_of
from pyroctl.tui.deployment import output
from pyroctl.tui.panes.pane import Pane
from pyroctl.view.details import details, endings, last_words, plots, settings
from pyroctl.view.lines import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyroctl.log_reader.files import LogLine
    from pyroctl.tui.app import Top

LAST_LINES = 20
PLOT_ROOM = 30
"""Columns beside a plot."""


class ServicePane(Pane):
    """Facts, plots, how runs ended, the last lines of the log, and the configuration."""

    MEASURES = True
    LIVE = True

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self.name_shown = ""
        self._detailed: Mapping[str, Any] = {}
        self._words: list[str] = []
        self._settings: Sequence[str] = ()
        self._seen: object = None

    def caption(self) -> str:
        """Return which service is shown."""
        return self.name_shown

    def services(self) -> list[str]:
        """Return the service that is shown."""
        return [self.name_shown] if self.name_shown else []

    def show_service(self, name: str) -> None:
        """Show another service."""
        self.name_shown, self._detailed, self._words, self._settings = name, {}, [], ()
        self._seen = None
        self.list.move(-len(self.list.lines))
        self.refresh_data()
        self.draw()

    def opened(self) -> None:
        """Show some service."""
        rows = self.top.data["services"]
        if not self.name_shown and rows:
            self.show_service(rows[0]["name"])

    def open_current(self) -> None:
        """Open the log of this service."""
        if self.name_shown:
            self.top.open_logs([self.name_shown])

    def refresh_data(self) -> None:
        """Ask for what doesn't come by itself."""
        self.run_worker(self._ask(self.name_shown), exclusive=True, group="details")
        self.run_worker(self._read_settings(self.name_shown), exclusive=True, group="settings")

    def draw(self) -> None:
        """Show what is known."""
        data = self.top.data
        row = next((row for row in data["services"] if row["name"] == self.name_shown), None)
        if row is None:
            self.list.show([plain("there is no such service", "dim")] if self.name_shown else [])
            return
        seen = row["state"], row["pid"], row["exit"]
        if self._seen not in (None, seen) and self.is_on_screen:
            self.run_worker(self._ask(row["name"]), exclusive=True, group="details")
        self._seen = seen
        width = max(10, self.list.size.width - PLOT_ROOM)
        self.list.show(
            [
                *details(row, data["services"], data["enabled"]),
                *plots(row["name"], self.top.model.recent, width),
                plain(""),
                *last_words(self._words[-LAST_LINES:]),
                plain(""),
                *endings({**row, "history": self._detailed.get("history", ())}),
                plain(""),
                *settings(row["name"], self._settings),
            ]
        )

    def logged(self, lines: Sequence[LogLine]) -> None:
        """Show new lines of the service's log."""
        found = [line.text for line in lines if line.service == self.name_shown]
        if found:
            self._words = [*self._words, *found][-LAST_LINES:]
            self.draw()

    async def _ask(self, name: str) -> None:
        """Get the history and the last lines of a service."""
        sources = sources_of(self.top.deployment.paths, [name])
        lines = await asyncio.to_thread(last_lines, sources, LAST_LINES)
        self._words = [line.text for line in lines]
        try:
            request = {"services": [name], **self.top.deployment.request}
            reply = await ask(self.top.deployment.paths, "status", request)
            rows = (reply["data"] or {}).get("services", ())
        except PyroctlError:
            rows = ()
        self._detailed = next((row for row in rows if row["name"] == name), self._detailed)
        self.draw()

    async def _read_settings(self, name: str) -> None:
        """Get the service's configuration, with the place of each value."""
        self._settings = await output(self.top.deployment, "config", "show", "--origin")
        self.draw()

    @property
    def is_on_screen(self) -> bool:
        """Whether this is the screen that is shown."""
        return self.top.pane is self
