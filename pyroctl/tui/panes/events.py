"""Screen 4: events as they come, which subjects flow, and who hears them."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from pyroctl.control.async_client import ask
from pyroctl.errors import PyroctlError
from pyroctl.printable import printable
from pyroctl.tui.line_list import LineList
from pyroctl.tui.matching import Matcher
from pyroctl.tui.panes.pane import Pane
from pyroctl.tui.table import columns
from pyroctl.tui.tap import Tap
from pyroctl.view.lines import Part, plain
from pyroctl.view.rates import subject_rates
from pyroctl.view.subscribers import subscriptions_of
from pyroctl.view.text import rate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import ComposeResult

    from pyroctl.tui.app import Top
    from pyroctl.view.lines import Line

KEPT = 1000
"""Events."""
INTERVAL = 1.0
"""Seconds between two looks at subjects and subscribers."""
SUBJECTS = ("SUBJECT", "/S", "HEARD BY")
SUBSCRIBERS = ("SUBSCRIBER", "STATE", "QUEUED", "DROPPED", "HEARS")


class EventsPane(Pane):
    """A tap on the left; subjects by rate and subscribers by queue on the right.

    Tap and looks go on only while this screen is shown: event services count subjects for nobody
    else.
    """

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self.list.following = True
        self._subjects = LineList()
        self._subscribers = LineList()
        self.patterns: list[str] = []
        self._passed = 0
        self._paused_passed = 0
        self._trouble = ""
        self._service: str | None = None
        self._before: Mapping[str, Any] | None = None
        self._numbers = itertools.count()

    def compose(self) -> ComposeResult:
        """Return the widgets."""
        with Horizontal():
            yield self.list
            with Vertical(classes="side"):
                yield Static("subjects by rate", classes="line head")
                yield self._subjects
                yield Static("subscribers by queue", classes="line head")
                yield self._subscribers

    def caption(self) -> str:
        """Return what is tapped, and how much was not shown."""
        words = [
            f"tapping {self._service or 'events'}",
            (", ".join(f"/{pattern}/" for pattern in self.patterns) or "everything"),
            f"{self._passed} more not shown" if self._passed else "",
            f"paused, {self._paused_passed} passed" if self.top.model.paused else "",
            self._trouble,
        ]
        return " · ".join(word for word in words if word)

    def services(self) -> list[str]:
        """Return nothing: there is no service to act on."""
        return []

    def opened(self) -> None:
        """Begin to tap, and to look."""
        self.run_worker(self._tap(), exclusive=True, group="tap")
        self.run_worker(self._look(), exclusive=True, group="look")

    def closed(self) -> None:
        """End both."""
        self.workers.cancel_group(self, "tap")
        self.workers.cancel_group(self, "look")

    def tap(self, pattern: str) -> None:
        """Tap what matches a pattern; everything if it is empty. Raises UsageError."""
        Matcher(pattern)
        self.patterns = [pattern] if pattern else []
        self.run_worker(self._tap(), exclusive=True, group="tap")
        self.top.draw_soon()

    def open_current(self) -> None:
        """Show the whole of an event."""
        if self.list.current is not None:
            self.top.show_text("event", self.list.current.text)

    async def _tap(self) -> None:
        while True:
            self._service = self.top.event_service()
            await Tap(self.top.deployment, self._came).listen(self._service, self.patterns)
            await asyncio.sleep(5 * INTERVAL)  # perhaps the event service is back

    def _came(self, lines: Sequence[Line], more: int) -> None:
        if self.top.model.paused:
            self._paused_passed += len(lines) + more
        else:
            self._paused_passed = 0
            self._passed += more
            found = [line._replace(key=f"#{next(self._numbers)}") for line in lines]
            self.list.append(found, KEPT)
        self.top.draw_soon()

    async def _look(self) -> None:
        while True:
            if not self.top.model.paused:
                await self._look_once()
            await asyncio.sleep(INTERVAL)

    async def _look_once(self) -> None:
        paths, names = self.top.deployment.paths, [self._service] if self._service else []
        request = {"services": names, **self.top.deployment.request}
        try:
            found = await ask(paths, "subjects", request)
            heard = await ask(paths, "subscriptions", request)
        except PyroctlError as error:
            self._trouble = error.message
            return
        errors = [*found["errors"], *heard["errors"]]
        self._trouble = errors[0]["message"] if errors else ""
        if found["data"] is not None:
            self._show_subjects(found["data"])
        if heard["data"] is not None:
            self._show_subscribers(heard["data"]["subscriptions"])
        self.top.draw_soon()

    def _show_subjects(self, data: Mapping[str, Any]) -> None:
        rows = subject_rates(self._before or data, data)
        self._before = data
        cells = [
            (
                row["subject"],
                [
                    Part(printable(row["subject"])),
                    Part(rate(row["rate"])),
                    Part(str(row["listeners"] or "nobody"), "" if row["listeners"] else "backoff"),
                ],
            )
            for row in rows
        ]
        head, lines = columns(SUBJECTS, cells)
        self._subjects.show(lines or [plain("nothing was published lately", "dim")], head)

    def _show_subscribers(self, rows: Sequence[Mapping[str, Any]]) -> None:
        cells = [
            (
                row["subscriber"],
                [
                    Part(printable(row["subscriber"])),
                    Part(row["state"] if row["aware"] else f"{row['state']}, plain"),
                    Part(str(row["queued"]), "backoff" if row["queued"] else ""),
                    Part(str(row["dropped"]), "error" if row["dropped"] else ""),
                    Part(printable(" ".join(subscriptions_of(row))), "dim"),
                ],
            )
            for row in sorted(rows, key=lambda row: (-row["queued"], row["subscriber"]))
        ]
        head, lines = columns(SUBSCRIBERS, cells)
        self._subscribers.show(lines or [plain("nobody is subscribed", "dim")], head)
