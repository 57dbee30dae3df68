"""The list of lines of which all screens consist, its filter and its plain characters."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("textual", reason="pyroctl[tui] is not installed")

from rich.segment import Segment
from textual.app import App
from textual.color import Color

from pyroctl.errors import UsageError
from pyroctl.tui.line_list import LineList
from pyroctl.tui.matching import Matcher
from pyroctl.tui.plain import Ascii
from pyroctl.tui.styles import coloured
from pyroctl.tui.table import columns
from pyroctl.tui.tap import event_line
from pyroctl.view.lines import Line, Part, plain


def shown(widget):
    """Return what is on the screen, a text for each row."""
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]


def with_list(check, *, size=(20, 5), **options):
    """Run a check in an app that has nothing but a list."""

    async def main():
        app: App[None] = App()
        async with app.run_test(size=size) as pilot:
            widget = LineList(**options)
            widget.styles.height = "100%"
            widget.styles.scrollbar_size_vertical = 0
            await app.mount(widget)
            await pilot.pause()
            check(widget)

    asyncio.run(main())


def numbered(count):
    return [plain(f"line {number}", key=str(number)) for number in range(count)]


def test_the_head_stays_while_lines_scroll():
    def check(widget):
        widget.show(numbered(10), plain("HEAD"))
        widget.move(7)
        assert shown(widget) == ["HEAD", "line 4", "line 5", "line 6", "line 7"]
        widget.move(-100)
        assert shown(widget)[1] == "line 0"

    with_list(check)


def test_the_cursor_stays_with_its_line_when_others_come_before_it():
    def check(widget):
        widget.show(numbered(3))
        widget.move(1)
        widget.show([plain("new", key="new"), *numbered(3)])
        assert widget.current.key == "1"
        widget.show(numbered(1))
        assert widget.current.key == "0"
        widget.show([])
        assert widget.current is None
        widget.move(1)

    with_list(check)


def test_a_list_that_follows_shows_its_end_and_one_that_doesnt_stays():
    def check(widget):
        widget.following = True
        widget.append(numbered(10), 100)
        assert shown(widget)[-1] == "line 9"
        widget.following = False
        widget.append([plain("later", key="later")], 100)
        assert shown(widget)[-1] == "line 9"
        assert widget.current.key == "9"

    with_list(check)


def test_no_more_lines_are_kept_than_allowed_and_the_cursor_stays_with_its_line():
    def check(widget):
        widget.append(numbered(10), 10)
        widget.move(7)
        widget.append([plain("new", key="new")], 8)
        assert [line.key for line in widget.lines] == [*map(str, range(3, 10)), "new"]
        assert widget.current.key == "7"

    with_list(check)


def test_a_filter_hides_what_does_not_match_and_context_shows_it_again():
    def check(widget):
        widget.show(numbered(12))
        widget.filter(Matcher("1"))
        assert shown(widget)[:3] == ["line 1", "line 10", "line 11"]
        widget.context = True
        widget.filter(widget.matcher)
        assert len(widget.shown) == 12
        assert widget.search(1)
        assert widget.current.key == "10"
        assert widget.search(-1)
        assert widget.current.key == "1"
        assert widget.search(-1)
        assert widget.current.key == "11"

    with_list(check)


def test_long_lines_are_cut_or_wrapped_and_scroll_to_the_side():
    def check(widget):
        widget.show([plain("0123456789" * 3, key="a"), plain("next", key="b")])
        assert shown(widget)[:2] == ["01234567890123456789", "next"]
        widget.sideways(1)
        assert shown(widget)[0] == "89012345678901234567"
        widget.sideways(-1)
        widget.set_wrap(wrap=True)
        assert shown(widget)[:3] == ["0123456789012345678", "90123456789", "next"]
        widget.move(1)
        assert widget.current.key == "b"

    with_list(check)


def test_times_can_be_hidden():
    def check(widget):
        widget.show([Line("a", (Part("12:00 ", "time"), Part("text")))])
        assert shown(widget)[0] == "12:00 text"
        widget.set_times(times=False)
        assert shown(widget)[0] == "text"

    with_list(check)


def test_selected_lines_are_marked_and_forgotten_when_they_are_gone():
    def check(widget):
        widget.show(numbered(3))
        widget.toggle()
        assert shown(widget)[:2] == ["> line 0", "  line 1"]
        assert [line.key for line in widget.chosen()] == ["0"]
        widget.toggle_all()
        assert len(widget.chosen()) == 3
        widget.toggle_all()
        assert [line.key for line in widget.chosen()] == ["1"]  # the cursor's
        widget.toggle()
        widget.filter(Matcher("2"))
        assert [line.key for line in widget.chosen()] == ["2"]  # the others are not seen
        widget.filter(Matcher(""))
        widget.show(numbered(1))
        assert widget.selected == set()

    with_list(check, marks=True)


def test_a_pattern_ignores_case_unless_it_has_a_capital_and_a_bad_one_is_told():
    assert Matcher("hot").matches("too HOT")
    assert not Matcher("Hot").matches("too HOT")
    with pytest.raises(UsageError, match=r"'\(' is not a regular expression"):
        Matcher("(")


def test_a_pattern_that_backtracks_without_end_matches_nothing_soon():
    matcher = Matcher("(a|aa)+$")
    assert not any(matcher.matches("a" * 100 + "b") for _ in range(1000))
    assert matcher.too_slow > 0


def test_a_logs_colours_are_kept_and_nothing_else_in_it_works():
    parts = coloured("\x1b[1;31mred\x1b[0m plain\x1b[2J\x1b[38;5;208mx\x1b[48;2;1;2;300my\r")
    assert parts == [
        Part("red", "bold color(1)"),
        Part(" plain\\x1b[2J"),
        Part("x", "color(208)"),
        Part("y", "color(208)"),
    ]
    assert coloured("a\x1b[38mb\x1b[38;5mc") == [Part("a"), Part("b"), Part("c")]


def test_columns_are_aligned_by_what_characters_take():
    head, lines = columns(
        ("A", "B"), [("x", [Part("日本"), Part("1")]), ("y", [Part("ab"), Part("2")])]
    )
    assert [line.text for line in (head, *lines)] == ["A     B", "日本  1", "ab    2"]


def test_ascii_replaces_all_that_is_drawn_here():
    segments = Ascii().apply([Segment("● ◐ ▲ ✖ ■ │├└─ → ⠀⣀⣿ é")], Color(0, 0, 0))
    assert segments[0].text == "* ~ ! X - |++- >  .# é"


def test_an_event_is_a_line_whatever_it_contains():
    line = event_line(b'{"subject": "lab\\u001b", "time": 0, "msg": {"a": ["\\u0007", 1]}}')
    assert line is not None
    assert line.text.endswith('lab\\x1b {"a": ["\\u0007", 1]}')
    assert event_line(b"garbage") is None
    assert event_line(b"[]") is None
    assert event_line(b'{"subject": "s", "time": 1e99, "msg": 1}') is None
