"""Screen 1: all services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Static

from pyroctl.tui.panes.pane import Pane
from pyroctl.tui.styles import text_of
from pyroctl.tui.table import columns
from pyroctl.view.lines import Part
from pyroctl.view.overview import HEAD, SORTS, cells, ordered, tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from pyroctl.tui.app import Top
    from pyroctl.tui.table import Row


class OverviewPane(Pane):
    """A row for each service, and above them the numbers of the whole."""

    MEASURES = True
    LIVE = True
    MARKS = True

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self._tiles = Static(classes="line")
        self._shown = ""
        self._last_rows: Sequence[Row] = ()
        self.sort = 0
        self.backwards = False

    def compose(self) -> ComposeResult:
        """Return the widgets."""
        yield self._tiles
        yield self.list

    def caption(self) -> str:
        """Return by what the rows are sorted, if not as configured."""
        order = ", reversed" if self.backwards else ""
        return f"sorted by {SORTS[self.sort][0]}{order}" if self.sort or self.backwards else ""

    def draw(self) -> None:
        """Show the rows."""
        recent, data = self.top.model.recent, self.top.data
        parts = []
        for tile in tiles(recent):
            parts += [Part(f" {tile.title} ", "dim"), Part(tile.plot, "running")]
            parts.append(Part(f" {tile.value}  "))
        text = text_of(parts)
        if text.plain != self._shown:
            self._shown = text.plain
            self._tiles.update(text, layout=False)
        last, enabled = self.top.model.last_lines, data["enabled"]
        rows = [
            (row["name"], cells(row, recent, last.get(row["name"], ""), enabled))
            for row in ordered(data["services"], self.sort, backwards=self.backwards)
        ]
        if rows != self._last_rows:
            self._last_rows = rows
            head, lines = columns(HEAD, rows)
            self.list.show(lines, head)

    def sort_by_next(self) -> None:
        """Sort by the next column."""
        self.sort = (self.sort + 1) % len(SORTS)
        self.draw()

    def reverse(self) -> None:
        """Reverse the order."""
        self.backwards = not self.backwards
        self.draw()
