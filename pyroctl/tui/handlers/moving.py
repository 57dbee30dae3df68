"""Moves the cursor of the present screen, and selects lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroctl.tui.app import Top
    from pyroctl.tui.line_list import LineList


class Moving:
    """The actions that only move something."""

    def __init__(self, top: Top) -> None:
        self._top = top

    @property
    def _list(self) -> LineList:
        return self._top.active_list

    def up(self) -> None:
        """Go up a line; at the first one, read what is older."""
        if self._list.cursor == 0:
            self._top.pane.oldest()
        self._move(-1)

    def down(self) -> None:
        """Go down a line."""
        self._move(1)

    def left(self) -> None:
        """Scroll to the left."""
        self._list.sideways(-1)

    def right(self) -> None:
        """Scroll to the right."""
        self._list.sideways(1)

    def first(self) -> None:
        """Go to the first line; if the cursor is there, read what is older."""
        if self._list.cursor == 0:
            self._top.pane.oldest()
        self._move(-len(self._list.lines))

    def last(self) -> None:
        """Go to the last line."""
        self._list.move(len(self._list.lines))

    def half_page_down(self) -> None:
        """Go down half a page."""
        self._list.page(0.5)

    def half_page_up(self) -> None:
        """Go up half a page."""
        self._list.following = False
        self._list.page(-0.5)

    def page_down(self) -> None:
        """Go down a page."""
        self._list.page(1)

    def page_up(self) -> None:
        """Go up a page."""
        self._list.following = False
        self._list.page(-1)

    def select(self) -> None:
        """Select or deselect the line under the cursor."""
        self._list.toggle()

    def select_all(self) -> None:
        """Select all lines, or none."""
        self._list.toggle_all()

    def _move(self, by: int) -> None:
        if by < 0:
            self._list.following = False
        self._list.move(by)
