"""Positions of keys, against documents that were written with their places noted."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field

import pytest
import tomlkit
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyroctl.config.source.diagnostics import quoted
from pyroctl.config.source.positions import find_positions

BARE = st.sampled_from(["a", "b", "port", "es", "x-1", "_y", "7"])
ODD = st.sampled_from(["a.b", "", " ", "#", "[x]", "=", "é", 'q"', "'", "\\", "a = 1", "]"])
KEYS = st.one_of(BARE, ODD)
VALUES = st.sampled_from(
    [
        "1",
        "-0x1F"[1:],
        "1_000",
        "2.5e3",
        "true",
        "inf",
        '"a = 1"',
        "'# [x]'",
        '"a\\"b"',
        "1979-05-27T07:32:00Z",
        "1979-05-27 07:32:00",
        "07:32:00",
        "[]",
        "[ 1, # a = 1\n 2,\n]",
        '["a", [1, 2], {b = 3, "]" = "}"}]',
        '"""\na = 1\n[b]\n"""',
        "'''a = 1\n'''",
        '"""x\\\n   y"""',
        '"é]"',
    ]
)
BLANKS = st.sampled_from(["", "\n", "# a = 1\n", "  # [a]\n", "\n\n", "\t\n"])
ENDS = st.sampled_from(["\n", " # a = 1\n", "  \n", "# [a]\n"])


@dataclass
class Page:
    """Text under construction, with the places of the keys in it."""

    text: str = ""
    places: dict[tuple[str | int, ...], tuple[int, int]] = field(default_factory=dict)

    def here(self) -> tuple[int, int]:
        return self.text.count("\n") + 1, len(self.text) - self.text.rfind("\n")

    def key(self, draw, path, keys) -> None:
        for index, key in enumerate(keys):
            if index:
                self.text += draw(st.sampled_from([".", " . ", ". "]))
            path = (*path, key)
            self.places.setdefault(path, self.here())
            self.text += written(draw, key)

    def value(self, draw, path, depth) -> None:
        if depth and draw(st.booleans()):
            self.text += draw(st.sampled_from(["{", "{ "]))
            for index, keys in enumerate(draw(distinct())):
                self.text += ", " if index else ""
                self.pair(draw, path, keys, depth - 1)
            self.text += draw(st.sampled_from(["}", " }"]))
        else:
            self.text += draw(VALUES)

    def pair(self, draw, path, keys, depth) -> None:
        self.key(draw, path, keys)
        self.text += draw(st.sampled_from(["=", " = ", "  =\t"]))
        self.value(draw, (*path, *keys), depth)

    def body(self, draw, path) -> None:
        for keys in draw(distinct()):
            self.text += draw(BLANKS) + draw(st.sampled_from(["", "  "]))
            self.pair(draw, path, keys, 2)
            self.text += draw(ENDS)

    def header(self, draw, keys, path, marks) -> None:
        self.text += draw(BLANKS) + draw(st.sampled_from(["", " "])) + marks
        self.text += draw(st.sampled_from(["", " "]))
        strings = [end for end, part in enumerate(path, 1) if isinstance(part, str)]
        for index, (key, end) in enumerate(zip(keys, strings, strict=True)):
            self.text += "." if index else ""
            here = self.here()
            self.places.setdefault(path[:end], here)
            self.text += written(draw, key)
        self.places[path] = here
        self.text += draw(st.sampled_from(["", " "])) + marks.replace("[", "]") + draw(ENDS)


def written(draw, key) -> str:
    forms = [quoted(key)]
    if key.isascii() and key.replace("-", "").replace("_", "").isalnum():
        forms.append(key)
    if "'" not in key:
        forms.append(f"'{key}'")
    return str(draw(st.sampled_from(forms)))


@st.composite
def distinct(draw):
    """Keys of one table, some dotted, without conflicts."""
    firsts = draw(st.lists(KEYS, unique=True, max_size=4))
    listed: list[tuple[str, ...]] = []
    for first in firsts:
        if draw(st.integers(0, 3)):
            listed.append((first,))
        else:
            rest = draw(st.lists(KEYS, unique=True, min_size=1, max_size=2))
            listed.extend((first, last) for last in rest)
    return listed


@st.composite
def pages(draw):
    page = Page()
    page.body(draw, ())
    counts: dict[tuple[str, ...], int] = {}
    for _ in range(draw(st.integers(0, 6))):
        keys = tuple(draw(st.lists(KEYS, min_size=1, max_size=3)))
        before = Page(page.text, dict(page.places))
        if draw(st.booleans()):
            path = keys
            page.header(draw, keys, path, "[")
        else:
            index = counts.get(keys, 0)
            path = (*keys, index)
            page.header(draw, keys, path, "[[")
        page.body(draw, path)
        if is_toml(page.text) and not inside_an_array(keys, counts):
            if path != keys:
                counts[keys] = counts.get(keys, 0) + 1
        else:
            page = before
    return page


def inside_an_array(keys, counts) -> bool:
    # Such a header belongs to the array's last element; EXAMPLE has one.
    return any(keys[: len(array)] == array and len(keys) > len(array) for array in counts)


def is_toml(text) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def tomlkit_agrees(text):
    """tomlkit rejects a few valid documents; their errors are reported without a line."""
    try:
        tomlkit.parse(text)
    except tomlkit.exceptions.ParseError:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(pages())
def test_every_key_is_found_where_it_was_written(page):
    """Each key of a document is placed at the line and column where it was written."""
    assume(tomlkit_agrees(page.text))
    assert find_positions(page.text) == page.places


EXAMPLE = """\
# comment
title = "x" # title = 1
[services.es] # [services.es]
kind = "e"
env = { A = "1", "B.c" = { x = 1 } }
[services.ns]
x.y = 1
  x.z = 2
[services]
foo = 1
[[m.p]]
a = 1
[m.p.q]
b = 1
[[m.p]]
a = 3
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("title",), (2, 1)),
        (("services",), (9, 2)),
        (("services", "es"), (3, 11)),
        (("services", "es", "env", "A"), (5, 9)),
        (("services", "es", "env", "B.c", "x"), (5, 28)),
        (("services", "ns", "x"), (7, 1)),
        (("services", "ns", "x", "z"), (8, 5)),
        (("services", "foo"), (10, 1)),
        (("m", "p"), (11, 5)),
        (("m", "p", 0, "q", "b"), (14, 1)),
        (("m", "p", 1, "a"), (16, 1)),
    ],
)
def test_places_in_a_document(path, place):
    """Tables, inline tables, dotted keys and arrays of tables are all placed."""
    assert find_positions(EXAMPLE)[path] == place


def test_line_ends_of_windows_do_not_move_anything():
    """A file with CRLF has the same places."""
    assert find_positions(EXAMPLE.replace("\n", "\r\n")) == find_positions(EXAMPLE)
