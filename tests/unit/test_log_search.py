"""Logs are searched backwards and forwards, over rotated files, from where a search has ended."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
import regex

from pyroctl.errors import UsageError
from pyroctl.log_reader.files import LogPosition, Source
from pyroctl.log_reader.search import (
    Found,
    Query,
    decode_cursor,
    encode_cursor,
    search_newer,
    search_older,
)

if TYPE_CHECKING:
    from pathlib import Path

BAD = "(a|aa)+$"
"""A pattern that backtracks for ever."""


def line(second: int, text: str) -> str:
    return f"2026-05-04T12:{second // 60:02}:{second % 60:02}.000+00:00 {text}\n"


def write(directory: Path, name: str, numbers: range) -> Source:
    (directory / f"{name}.log").write_text("".join(line(n, f"{name} {n}") for n in numbers))
    return Source(name, "output", str(directory / f"{name}.log"))


def texts(found: Found) -> list[str]:
    return [each.text for each, _ in found.lines]


def test_pages_towards_older_and_newer_lines_join_without_a_gap(tmp_path: Path) -> None:
    """Of two services, over a rotated and a compressed file; each line comes once."""
    a, b = write(tmp_path, "a", range(60, 90)), write(tmp_path, "b", range(0, 90, 7))
    (tmp_path / "a.log.1").write_text("".join(line(n, f"a {n}") for n in range(30, 60)))
    old = "".join(line(n, f"a {n}") for n in range(30))
    (tmp_path / "a.log.2.gz").write_bytes(gzip.compress(old.encode()))
    whole = texts(search_older([a, b], Query(limit=1000)))
    assert len(whole) == 90 + 13
    pages: list[str] = []
    cursor = None
    while True:
        found = search_older([a, b], Query(limit=10), cursor)
        pages = texts(found) + pages
        if found.older is None:
            break
        cursor = decode_cursor(found.older)
    assert pages == whole
    middle = decode_cursor(search_older([a, b], Query(limit=20)).older or "")
    assert texts(search_newer([a, b], Query(), middle)) == whole[-20:]
    first = search_newer([a, b], Query(limit=5), middle)
    rest = search_newer([a, b], Query(), decode_cursor(first.newer))
    assert texts(first) + texts(rest) == whole[-20:]


def test_the_cursor_of_a_line_shows_what_is_around_it(tmp_path: Path) -> None:
    """A link to a line leads to it, after more were written and the file was rotated."""
    source = write(tmp_path, "a", range(50))
    found = search_older([source], Query(regex.compile("a 25$")))
    ((_, cursor),) = found.lines
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    write(tmp_path, "a", range(50, 60))
    place = decode_cursor(cursor)
    assert texts(search_newer([source], Query(limit=3), place)) == ["a 25", "a 26", "a 27"]
    assert texts(search_older([source], Query(limit=2), place)) == ["a 23", "a 24"]


def test_new_lines_follow_the_newer_cursor(tmp_path: Path) -> None:
    """Only whole lines: one that is being written comes when it is complete."""
    source = write(tmp_path, "a", range(3))
    newer = decode_cursor(search_older([source], Query()).newer)
    with (tmp_path / "a.log").open("a") as file:
        file.write(line(3, "a 3") + line(4, "half")[:-1])
    found = search_newer([source], Query(), newer)
    assert texts(found) == ["a 3"]
    with (tmp_path / "a.log").open("a") as file:
        file.write(" and whole\n")
    assert texts(search_newer([source], Query(), decode_cursor(found.newer))) == ["half and whole"]


def test_times_bound_a_search(tmp_path: Path) -> None:
    """And what is older than `since` is not even read."""
    source = write(tmp_path, "a", range(90))
    start = 1777896000.0  # 12:00:00
    found = search_older([source], Query(since=start + 10, until=start + 12))
    assert texts(found) == ["a 10", "a 11", "a 12"]
    assert found.older is None


def test_a_search_that_takes_too_long_says_where_it_has_come(tmp_path: Path) -> None:
    """A pattern without end is cut off; the answer continues from there, and nothing hangs."""
    source = write(tmp_path, "a", range(5))
    with (tmp_path / "a.log").open("a") as file:
        file.write(line(6, "a" * 50 + "!"))
        file.write(line(7, "last aaa"))
    found = search_older([source], Query(regex.compile(BAD), seconds=0.2))
    assert texts(found) == ["last aaa"]
    assert not found.complete
    assert found.older is not None
    nothing = search_older([source], Query(seconds=-1.0))
    assert (nothing.complete, texts(nothing)) == (False, [])


def test_long_lines_and_answers_are_cut(tmp_path: Path) -> None:
    """An answer stays small whatever is in a log."""
    source = Source("a", "output", str(tmp_path / "a.log"))
    (tmp_path / "a.log").write_text("".join(line(n, "x" * 500_000) for n in range(9)))
    found = search_older([source], Query())
    assert len(found.lines) < 5
    assert all(len(text) == 16 << 10 for text in texts(found))
    assert found.older is not None


def test_a_cursor_of_somebody_else_is_refused() -> None:
    """Each is an error in words."""
    places = {"a/output": LogPosition(7, 9)}
    assert decode_cursor(encode_cursor(places)) == places
    for text in ("x", "", "e30", "bnVsbA", "W10", "eyJhIjpbMV19", "ä" * 5, "eyJhIjoxfQ"):
        if text == "e30":
            assert decode_cursor(text) == {}
            continue
        with pytest.raises(UsageError):
            decode_cursor(text)
