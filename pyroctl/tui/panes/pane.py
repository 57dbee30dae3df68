"""What all screens have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical

from pyroctl.tui.line_list import LineList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from pyroctl.log_reader.files import LogLine
    from pyroctl.tui.app import Top


class Pane(Vertical):
    """One screen: what it shows is in `list`, which the keys move."""

    MEASURES = False
    """Whether measurements are shown, so that they must be made."""
    LIVE = False
    """Whether what is shown comes from the manager, and is old when that is gone."""
    MARKS = False
    """Whether lines can be selected to act on them."""

    def __init__(self, top: Top) -> None:
        super().__init__()
        self.top = top
        self.list = LineList(marks=self.MARKS)

    def compose(self) -> ComposeResult:
        """Return the widgets."""
        yield self.list

    def opened(self) -> None:
        """Begin to show what costs something while it is shown."""

    def closed(self) -> None:
        """End that."""

    def draw(self) -> None:
        """Show what is new."""

    def logged(self, lines: Sequence[LogLine]) -> None:
        """Take new lines of logs."""

    def caption(self) -> str:
        """Return what the top line says about this screen."""
        return ""

    def services(self) -> list[str]:
        """Return the services that an action is about: those selected, or that at the cursor."""
        known = {row["name"] for row in self.top.data["services"]}
        return [line.key for line in self.list.chosen() if line.key in known]

    def open_current(self) -> None:
        """Open what the cursor is on."""
        if names := self.services():
            self.top.open_service(names[-1])

    def filtered(self, pattern: str) -> None:
        """Take a new filter; the list has it already."""

    def refresh_data(self) -> None:
        """Ask again for what doesn't come by itself."""

    def oldest(self) -> None:
        """Read what is older, as the cursor is at the first line and should go up."""
