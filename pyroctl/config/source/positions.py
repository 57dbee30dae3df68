"""Where in the text of a TOML file each key is.

Neither tomllib nor tomlkit reports that. But tomlkit keeps every key, value and header as it was
written, so a reader that knows what must come next finds each in the text. Imported only when
there is something to point at: tomlkit is slow to import.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, deque
from typing import TYPE_CHECKING

import tomlkit
from tomlkit.items import AoT, InlineTable, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomlkit.items import Item, Key

    from pyroctl.config.source.diagnostics import Path

    Body = Iterable[tuple[Key | None, Item]]

Place = tuple[int, int]
"""Line and column, counted from 1; a column is a character."""

_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_KEY = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|[A-Za-z0-9_-]+')


def find_positions(text: str) -> dict[Path, Place]:
    """Return the place of every key of a valid TOML document.

    A table is at its own header, or at the first place that implies it; the elements of an array
    of tables are at their `[[headers]]`. Raises ValueError where tomlkit disagrees with tomllib
    on what is valid.
    """
    reader = _Reader(text)
    reader.read(tomlkit.parse(text).body)
    lines = [0, *(match.end() for match in re.finditer("\n", text))]
    return {path: _place(offset, lines) for path, offset in reader.found.items()}


def _place(offset: int, lines: list[int]) -> Place:
    line = bisect_right(lines, offset)
    return line, offset - lines[line - 1] + 1


class _Reader:
    """How far the text is read, what was found, and which sections are still to come."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, int] = {}
        self.sections: dict[str, deque[tuple[Path, Table]]] = {}
        """By header as written. tomlkit moves the parts of an array of tables together, so the
        order of its tree is not the order of the text; but among equal headers it is."""

    def read(self, body: Body) -> None:
        self.gather(body, (), Counter())
        self.pairs(body, ())
        while self.to_next():
            header = self.next_header()
            path, table = self.sections[header].popleft()
            if not self.sections[header]:
                del self.sections[header]
            self.header(header, path)
            self.pairs(table.value.body, path)

    def next_header(self) -> str:
        for header in self.sections:
            if self.text.startswith(header, self.at):
                return header
        raise ValueError(f"no header at {self.at}")

    def gather(self, body: Body, path: Path, elements: Counter[Path]) -> None:
        """Find the tables that have a header of their own, at any depth."""
        for key, item in body:
            if key is None:
                continue
            here = (*path, key.key)
            if isinstance(item, AoT):
                for table in item.body:
                    element = (*here, elements[here])
                    elements[here] += 1
                    self.section(f"[[{table.display_name}]]", element, table)
                    self.gather(table.value.body, element, elements)
            elif isinstance(item, Table):
                if item.display_name is not None:
                    self.section(f"[{item.display_name}]", here, item)
                self.gather(item.value.body, here, elements)

    def section(self, header: str, path: Path, table: Table) -> None:
        self.sections.setdefault(header, deque()).append((path, table))

    def header(self, written: str, path: Path) -> None:
        """Place a table at its header, and what the header implies at the parts of its name."""
        ends = [end for end, part in enumerate(path, 1) if isinstance(part, str)]
        for end, part in zip(ends, _KEY.finditer(written), strict=True):
            offset = self.at + part.start()
            self.found.setdefault(path[:end], offset)
        self.found[path] = offset
        self.skip(written)

    def pairs(self, body: Body, path: Path) -> None:
        """Read the `key = value` lines of one table; dotted keys are tables in tables."""
        for key, item in body:
            if key is None or isinstance(item, AoT):
                continue
            here = (*path, key.key)
            if not isinstance(item, Table):
                self.to_next()
                self.found[here] = self.skip(key.as_string().strip())
                self.value(item, here)
            elif key.is_dotted() and item.display_name is None:
                self.to_next()
                self.found.setdefault(here, self.skip(key.as_string().strip()))
                self.pairs(item.value.body, here)

    def value(self, item: Item, path: Path) -> None:
        if isinstance(item, InlineTable):
            self.pairs(item.value.body, path)
            self.skip("}")
        else:
            self.skip(item.as_string())

    def to_next(self) -> bool:
        """Skip blanks and comments, and return whether anything follows."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at < len(self.text)

    def skip(self, written: str) -> int:
        """Move behind the next occurrence, and return where it began."""
        start = self.text.index(written, self.at)
        self.at = start + len(written)
        return start
