"""Screen 6: what has happened to services."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from pyroctl.log_reader.files import newest_first
from pyroctl.tui.panes.pane import Pane
from pyroctl.view.lines import plain
from pyroctl.view.notes import entry, is_note, widest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.log_reader.files import LogLine, Source
    from pyroctl.tui.app import Top
    from pyroctl.view.lines import Line

SEARCHED = 100_000
"""Lines of logs in which notes are looked for."""
FIRST = 500
MOST = 5000
"""Entries."""


class TimelinePane(Pane):
    """The manager's notes about all services, in the order of time."""

    MARKS = True

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self.list.following = True
        self._arrived: list[LogLine] = []
        self._loaded = False
        self._numbers = itertools.count()

    def services(self) -> list[str]:
        """Return nothing: there is no service to act on."""
        return []

    def caption(self) -> str:
        """Return whether new entries are shown."""
        return "following" if self.list.following else ""

    def opened(self) -> None:
        """Read what has happened before."""
        if not self._loaded and self.top.follower is not None:
            self._loaded = True
            self.run_worker(self._read(), exclusive=True)

    def logged(self, lines: Sequence[LogLine]) -> None:
        """Append what happens."""
        found = [line for line in lines if is_note(line.text)]
        if self._loaded and found:
            self._arrived += found
            self.list.append([self._entry(line) for line in found], MOST)

    async def _read(self) -> None:
        follower, names = self.top.follower, self.top.logged_services()
        assert follower is not None
        follower.follow(names)
        sources = follower.sources(names)
        self._arrived = []
        found = await asyncio.to_thread(_notes, sources)
        lines = [self._entry(line) for line in [*found, *self._arrived]]
        self.list.show(lines or [plain("nothing has happened yet", "dim")])

    def _entry(self, line: LogLine) -> Line:
        names = self.top.logged_services()
        found = entry(line.time, line.service, line.text, widest(names))
        return found._replace(key=f"#{next(self._numbers)}")


def _notes(sources: Sequence[Source]) -> list[LogLine]:
    """Return the newest notes, the oldest first, as far as the files can be read."""
    found: list[LogLine] = []
    try:
        for line in itertools.islice(newest_first(sources), SEARCHED):
            if is_note(line.text):
                found.append(line)
                if len(found) >= FIRST:
                    break
    except OSError:
        pass
    return found[::-1]
