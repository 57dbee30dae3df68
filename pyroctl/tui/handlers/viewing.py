"""Changes what the present screen shows, and how."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyroctl.errors import UsageError
from pyroctl.tui.dialogs import Lines
from pyroctl.tui.matching import Matcher
from pyroctl.view.lines import Line, Part, plain

if TYPE_CHECKING:
    from pyroctl.tui.app import Top
    from pyroctl.tui.panes.overview import OverviewPane

RULE = 20
"""Characters on both sides of the time in a mark."""


class Viewing:
    """The actions that only look."""

    def __init__(self, top: Top) -> None:
        self._top = top

    def open(self) -> None:
        """Open what the cursor is on."""
        self._top.pane.open_current()

    def back(self) -> None:
        """End a filter, or else go back to the screen before."""
        found = self._top.active_list
        if found.matcher.pattern:
            self._filtered("")
        elif found.selected:
            found.selected = set()
            found.refresh()
        else:
            self._top.go_back()

    def filter(self) -> None:
        """Ask for a regular expression, and show only lines that match it."""
        before = self._top.active_list.matcher.pattern
        self._top.ask_for("/", before, self._filtered)

    def context(self) -> None:
        """Show the lines around matches, or hide them."""
        found = self._top.active_list
        found.context = not found.context
        self._filtered(found.matcher.pattern)

    def next(self) -> None:
        """Go to the next match."""
        self._search(1)

    def previous(self) -> None:
        """Go to the match before."""
        self._search(-1)

    def follow(self) -> None:
        """Follow new lines, or stay."""
        found = self._top.pane.list
        found.following = not found.following
        if found.following:
            found.move(len(found.lines))

    def wrap(self) -> None:
        """Wrap long lines, or cut them."""
        found = self._top.active_list
        found.set_wrap(wrap=not found.wrap)

    def times(self) -> None:
        """Show times, or hide them."""
        found = self._top.pane.list
        found.set_times(times=not found.times)

    def mark(self) -> None:
        """Draw a line at the end, by which one sees what is new."""
        rule = "─" * RULE
        now = f"{datetime.now(UTC).astimezone():%H:%M:%S}"
        parts = (Part(f"{rule} {now} {rule}", "note"),)
        found = self._top.pane.list
        found.append([Line("", parts)], len(found.lines) + 1)

    def clear(self) -> None:
        """Forget the lines that are shown."""
        self._top.pane.list.show([])

    def pattern(self) -> None:
        """Ask which subjects to tap."""
        from pyroctl.tui.panes.events import EventsPane

        pane = self._top.pane
        if isinstance(pane, EventsPane):
            self._top.ask_for("tap subjects that match", "".join(pane.patterns), pane.tap)

    def pause(self) -> None:
        """Pause plots and tap, or go on."""
        self._top.model.paused = not self._top.model.paused
        self._top.watch_again()

    def sort(self) -> None:
        """Sort by the next column."""
        self._overview().sort_by_next()

    def order(self) -> None:
        """Reverse the order."""
        self._overview().reverse()

    def refresh(self) -> None:
        """Ask again for what doesn't come by itself."""
        self._top.pane.refresh_data()

    def palette(self) -> None:
        """Offer every action by its name."""
        self._top.action_command_palette()

    def help(self) -> None:
        """Show all keys."""
        lines = [
            Line(
                action.name,
                (
                    Part(f"{'  '.join(action.keys) or ':':<16}", "head"),
                    Part(f"{action.name:<15}", "dim"),
                    Part(action.title),
                ),
            )
            for action in self._top.actions
            if not (action.changes and self._top.view_only)
        ]
        where = "keys are in the table `keys` of top.toml beside the configuration"
        self._top.push_screen(Lines("keys", [*lines, plain(""), plain(where, "dim")], wrap=False))

    def quit(self) -> None:
        """End."""
        self._top.exit()

    def _filtered(self, pattern: str) -> None:
        found = self._top.active_list
        found.filter(Matcher(pattern))
        if found is self._top.pane.list:
            self._top.pane.filtered(pattern)
        self._top.draw_soon()

    def _search(self, step: int) -> None:
        found = self._top.active_list
        if not found.matcher.pattern:
            raise UsageError("there is nothing to search for: / begins a search")
        found.following = False
        if not found.search(step):
            raise UsageError(f"no line matches /{found.matcher.pattern}/")

    def _overview(self) -> OverviewPane:
        from pyroctl.tui.panes.overview import OverviewPane

        pane = self._top.screen_of("overview")
        assert isinstance(pane, OverviewPane)
        return pane
