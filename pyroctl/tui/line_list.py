"""The one widget of all screens: a list of lines with a cursor, selection, filter and wrapping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pyroctl.tui.matching import Matcher
from pyroctl.tui.styles import style_of
from pyroctl.view.lines import Line, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.selection import Selection

CURSOR = Style(reverse=True)
STALE = Style(dim=True)
MATCH = Style(bold=True, underline=True)
SLACK = 10
"""The oldest lines go when there are a tenth too many, so that most appends cost little."""
STEP = 8
"""Columns by which the list scrolls to the side."""


class LineList(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows lines; the app's actions move its cursor.

    With a `head` its first row stays where it is. Lines are known by their keys: cursor and
    selection stay with theirs when other lines are shown.
    """

    def __init__(self, *, marks: bool = False) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.head: Line | None = None
        self.selected: set[str] = set()
        self.wrap = False
        self.times = True
        self.following = False
        self.matcher = Matcher("")
        self.stale = False
        """Whether what is shown is old, and drawn so."""
        self.context = False
        """Whether lines that don't match are shown, too."""
        self.cursor = 0
        self._marks = marks
        self._shown: list[int] = []
        self._width = 0
        self._rows: list[tuple[int, str | None]] = []
        """For each row the place in `_shown`, and its text if it was wrapped."""

    @property
    def allow_select(self) -> bool:
        """Text can be selected by the mouse."""
        return True

    @property
    def current(self) -> Line | None:
        """The line under the cursor."""
        return self.lines[self._shown[self.cursor]] if self._shown else None

    @property
    def shown(self) -> list[Line]:
        """The lines that the filter lets through."""
        return [self.lines[place] for place in self._shown]

    def show(self, lines: Sequence[Line], head: Line | None = None) -> None:
        """Show these lines instead, with the cursor on the same key."""
        if lines == self.lines and head == self.head:
            return
        was = self.current
        self.lines, self.head = list(lines), head
        self.selected &= {line.key for line in self.lines}
        self._lay_out()
        if self.following:
            self.move(len(self._shown))
        elif was is not None and was.key:
            keys = [self.lines[place].key for place in self._shown]
            if was.key in keys:
                self.cursor = keys.index(was.key)
        self.refresh()

    def set_stale(self, *, stale: bool) -> None:
        """Draw everything as old, or not."""
        if stale != self.stale:
            self.stale = stale
            self.refresh()

    def append(self, lines: Sequence[Line], most: int) -> None:
        """Add lines at the end; the oldest go when there are more than `most`."""
        self.lines += lines
        if len(self.lines) > most + most // SLACK:
            gone = len(self.lines) - most
            del self.lines[:gone]
            passed = sum(1 for place in self._shown if place < gone)
            self.cursor = max(0, self.cursor - passed)
            self._lay_out()
        else:
            self._lay_out_from(len(self.lines) - len(lines))
        if self.following:
            self.move(len(self._shown))
        self.refresh()

    def filter(self, matcher: Matcher) -> None:
        """Show only lines that match, or with `context` all."""
        was = self.current
        self.matcher = matcher
        self._lay_out()
        places = [at for at, place in enumerate(self._shown) if self.lines[place] is was]
        self.move(0 if not places else places[0] - self.cursor)
        self.refresh()

    def search(self, step: int) -> bool:
        """Go to the next match in a direction, past the end to the beginning."""
        count = len(self._shown)
        for away in range(1, count + 1):
            place = (self.cursor + step * away) % count
            if self.matcher.matches(self.lines[self._shown[place]].text):
                self.move(place - self.cursor)
                return True
        return False

    def move(self, by: int) -> None:
        """Move the cursor, as far as there are lines."""
        self.cursor = max(0, min(self.cursor + by, len(self._shown) - 1))
        first = self._row_of(self.cursor)
        last = self._row_of(self.cursor + 1) - 1 if self.wrap else first
        extra = 0 if self.head is None else 1
        height = max(1, self.size.height - extra)
        top = self.scroll_offset.y
        if first < top:
            top = first
        elif last >= top + height:
            top = last - height + 1
        self.scroll_to(y=top, animate=False, immediate=True, force=True)
        self.refresh()

    def page(self, part: float) -> None:
        """Move the cursor by a part of what is visible."""
        self.move(round(part * max(1, self.size.height - 1)))

    def sideways(self, direction: int) -> None:
        """Scroll to the side."""
        x = max(0, self.scroll_offset.x + direction * STEP)
        self.scroll_to(x=x, animate=False, immediate=True, force=True)

    def toggle(self) -> None:
        """Select or deselect the line under the cursor, and go to the next."""
        if self.current is not None and self.current.key:
            self.selected ^= {self.current.key}
            self.move(1)

    def toggle_all(self) -> None:
        """Select all lines; if all are selected, none."""
        keys = {line.key for line in self.shown if line.key}
        self.selected = set() if keys <= self.selected else keys
        self.refresh()

    def chosen(self) -> list[Line]:
        """Return the selected lines that are shown, or else that under the cursor."""
        found = [line for line in self.shown if line.key in self.selected]
        return found or ([self.current] if self.current is not None else [])

    def set_times(self, *, times: bool) -> None:
        """Show the parts of lines that are times, or hide them."""
        self.times = times
        self._lay_out()
        self.move(0)

    def set_wrap(self, *, wrap: bool) -> None:
        """Wrap long lines, or cut them."""
        self.wrap = wrap
        self._lay_out()
        self.move(0)

    # what textual asks for

    def on_resize(self, _: events.Resize) -> None:
        """Wrap at the new width, and keep the cursor visible."""
        self._lay_out()
        self.move(0)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is."""
        row = event.y + self.scroll_offset.y - (0 if self.head is None else 1)
        if 0 <= row < len(self._rows):
            self.following = False
            self.move(self._rows[row][0] - self.cursor)

    def on_mouse_scroll_up(self, _: events.MouseScrollUp) -> None:
        """Stay where the user looks."""
        self.following = False

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the text that the mouse has selected."""
        rows = [] if self.head is None else [self.head.text]
        rows += [self._text(at) for at in range(len(self._rows))]
        return selection.extract("\n".join(rows)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw what is selected."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one row of the widget."""
        scroll_x, scroll_y = map(int, self.scroll_offset)
        width = self.size.width
        row = y + scroll_y - (0 if self.head is None else 1)
        if self.head is not None and y == 0:
            strip = self._strip(self.head, None, self._prefix(None))
        elif row >= len(self._rows):
            return Strip.blank(width)
        else:
            strip = self._row_strip(row, y + scroll_y)
        if self.stale:
            strip = strip.apply_style(STALE)
        cut = strip.crop_extend(scroll_x, scroll_x + width, None)
        return cut.apply_offsets(scroll_x, y + scroll_y)

    def _row_strip(self, row: int, content_y: int) -> Strip:
        place, wrapped = self._rows[row]
        line = self.lines[self._shown[place]]
        strip = self._strip(line, wrapped, self._prefix(line))
        if place == self.cursor and self.has_focus:
            text = strip.extend_cell_length(self.size.width).text
            strip = Strip([Segment(text, CURSOR)])  # colours would be blocks there
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(content_y)) is not None:
            start, end = span
            end = strip.cell_length if end == -1 else end
            style = self.screen.get_component_rich_style("screen--selection")
            before, inside, after = (
                strip.crop(0, start), strip.crop(start, end), strip.crop(end),
            )  # fmt: skip
            strip = Strip.join([before, inside.apply_style(style), after])
        return strip

    def _prefix(self, line: Line | None) -> str:
        if not self._marks:
            return ""
        return "> " if line is not None and line.key and line.key in self.selected else "  "

    def _visible(self, line: Line) -> Line:
        return line if self.times else line.without("time")

    def _strip(self, line: Line, wrapped: str | None, prefix: str) -> Strip:
        matched = self.matcher.pattern and self.context and self.matcher.matches(line.text)
        line = self._visible(line)
        parts = line.parts if wrapped is None else (Part(wrapped, _main_role(line)),)
        segments = [Segment(prefix)] if prefix else []
        for part in parts:
            style = style_of(part.role)
            segments.append(Segment(part.text, style + MATCH if matched else style))
        return Strip(segments)

    def _text(self, row: int) -> str:
        place, wrapped = self._rows[row]
        line = self.lines[self._shown[place]]
        return self._prefix(line) + (self._visible(line).text if wrapped is None else wrapped)

    def _row_of(self, place: int) -> int:
        """Return the first row of a line; the number of rows for one behind the last."""
        if not self.wrap:
            return min(place, len(self._rows))
        return next((at for at, row in enumerate(self._rows) if row[0] >= place), len(self._rows))

    def _lay_out(self) -> None:
        """Decide which lines are shown, and in which rows."""
        self._shown, self._rows, self._width = [], [], 0
        self._lay_out_from(0)
        self.cursor = max(0, min(self.cursor, len(self._shown) - 1))

    def _lay_out_from(self, first: int) -> None:
        """Do that for the lines from a place on; those before it stay as they are."""
        hides = bool(self.matcher.pattern) and not self.context
        room = max(1, self.size.width - len(self._prefix(None)) - 1)
        for place in range(first, len(self.lines)):
            text = self._visible(self.lines[place]).text
            if hides and not self.matcher.matches(text):
                continue
            at = len(self._shown)
            self._shown.append(place)
            if self.wrap and cell_len(text) > room:
                self._rows += [(at, piece) for piece in chop_cells(text, room)]
            else:
                self._rows.append((at, None))
                self._width = max(self._width, 0 if self.wrap else len(text))
        extra = 0 if self.head is None else 1
        self.virtual_size = Size(self._width + len(self._prefix(None)), len(self._rows) + extra)


def _main_role(line: Line) -> str:
    """Return the role of most of a line, for its wrapped rows."""
    return max(line.parts, key=lambda part: len(part.text)).role if line.parts else ""
