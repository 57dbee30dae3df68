"""Screen 3: the output of services."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING

from pyroctl.log_reader.files import newest_first
from pyroctl.tui.matching import Matcher
from pyroctl.tui.panes.pane import Pane
from pyroctl.tui.styles import coloured, service_role
from pyroctl.view.lines import Line, Part
from pyroctl.view.notes import clock, role_of, widest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyroctl.log_reader.files import LogLine, Source
    from pyroctl.tui.app import Top

FIRST = 1000
"""Lines that are read at first, and each time that older ones are wanted."""
MOST = 5000
"""Lines that are kept."""
LONGEST_SEARCH = 2.0
"""Seconds after which a search for older lines shows what it has found so far."""


class LogsPane(Pane):
    """The merged logs of all services, or of some; a filter searches the files, too."""

    MARKS = True

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self.list.following = True
        self._names: list[str] = []
        self._wanted = 0
        self._numbers = itertools.count()
        self._note = ""
        self._loaded = False
        self._arrived: list[LogLine] = []
        """What has come since the search that is going on began."""

    def caption(self) -> str:
        """Return whose logs are shown, and how."""
        pattern = self.list.matcher.pattern
        words = [
            ", ".join(self._names) or "all services",
            "following" if self.list.following else "",
            f"/{pattern}/" if pattern else "",
            self._note,
        ]
        return " · ".join(word for word in words if word)

    def services(self) -> list[str]:
        """Return nothing: there is no service to act on."""
        return []

    def show_services(self, names: Sequence[str]) -> None:
        """Show the logs of these services; of all if there are none."""
        if not self._loaded or self._names != list(names):
            self._names = list(names)
            self._wanted = 0
            self.oldest()

    def opened(self) -> None:
        """Read the logs at first."""
        if not self._loaded:
            self.oldest()

    def filtered(self, pattern: str) -> None:
        """Search the files with the pattern, as older lines may match."""
        self._wanted = 0
        self.oldest()

    def oldest(self) -> None:
        """Read more of what is older."""
        self._loaded = True
        self._wanted = min(self._wanted + FIRST, MOST)
        self.run_worker(self._read(), exclusive=True)

    def logged(self, lines: Sequence[LogLine]) -> None:
        """Append new lines."""
        if self._loaded:
            found = [line for line in lines if self._is_mine(line)]
            self._arrived += found
            if found:
                self.list.append([self._line(line) for line in found], MOST)

    async def _read(self) -> None:
        """Show the newest lines that match, as far back as the search comes."""
        follower = self.top.follower
        if follower is None:
            return
        names = self._names or self.top.logged_services()
        follower.follow(names)
        sources = follower.sources(names)
        self._arrived = []
        matcher = Matcher("" if self.list.context else self.list.matcher.pattern)
        self._note = "searching"
        self.top.draw_soon()
        found, complete = await asyncio.to_thread(_search, sources, self._wanted, matcher)
        self._note = "" if complete else f"so far, back to {found[0].time[:19] if found else '?'}"
        if self._wanted >= MOST:
            self._note = f"the newest {MOST} lines: pyroctl logs has all"
        if matcher.too_slow:
            self._note = "the pattern takes too long for some lines"
        self.list.show([self._line(line) for line in [*found, *self._arrived]])
        self.top.draw_soon()

    def _is_mine(self, line: LogLine) -> bool:
        return not self._names or line.service in self._names

    def _line(self, line: LogLine) -> Line:
        names = self._names or self.top.logged_services()
        known = [row["name"] for row in self.top.data["services"]] or names
        place = known.index(line.service) if line.service in known else 0
        mark = "!" if line.stream == "stderr" else "|"
        label = f"{line.service:<{widest(names)}} {mark} " if len(names) > 1 else ""
        state = role_of(line.text)
        text = [Part(line.text, state)] if state else coloured(line.text)
        head = (Part(f"{clock(line.time)} ", "time"), Part(label, service_role(place)))
        return Line(f"#{next(self._numbers)}", (*head, *text))


def _search(sources: Sequence[Source], wanted: int, matcher: Matcher) -> tuple[list[LogLine], bool]:
    """Return the newest lines that match, the oldest first, and whether the search was complete."""
    end = time.monotonic() + LONGEST_SEARCH
    found: list[LogLine] = []
    for line in _quiet(newest_first(sources)):
        if time.monotonic() > end:
            return found[::-1], False
        if matcher.matches(line.text):
            found.append(line)
            if len(found) >= wanted:
                break
    return found[::-1], True


def _quiet(lines: Iterator[LogLine]) -> Iterator[LogLine]:
    """Return lines as far as the files can be read."""
    try:
        yield from lines
    except OSError:
        return
