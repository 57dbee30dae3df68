"""A message as text for people, however large or deep it is. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import Any, Final

DEEPEST: Final = 6
MOST_ITEMS: Final = 200
FIRST_BYTES: Final = 16


class Brief(str):
    """A text that stands for a value, and is shown without quotes."""

    __slots__ = ()


class _Full(Exception):
    pass


def shown(message: Any, longest: int) -> tuple[str, bool]:
    """Return a message much like JSON, and whether something was left out."""
    writer = _Writer(longest)
    try:
        writer.write(message, 0)
    except _Full:
        writer.cut = True
    return "".join(writer.parts)[:longest], writer.cut


class _Writer:
    def __init__(self, longest: int) -> None:
        self.parts: list[str] = []
        self.cut = False
        self._left = longest
        self._deepest = DEEPEST if longest < 1 << 16 else 4 * DEEPEST
        self._most = MOST_ITEMS if longest < 1 << 16 else 1 << 16

    def write(self, value: Any, depth: int) -> None:
        """Write a value; raises _Full."""
        if isinstance(value, Brief):
            self._add(value)
        elif isinstance(value, str):
            self._text(value)
        elif isinstance(value, (bytes, bytearray, memoryview)):
            data = bytes(value[:FIRST_BYTES])
            more = "…" if len(value) > FIRST_BYTES else ""
            self.cut |= bool(more)
            self._add(f"bytes({len(value)}: {data.hex(' ')}{more})")
        elif isinstance(value, Mapping):
            self._group("{", value.items(), "}", depth, pairs=True)
        elif isinstance(value, (list, tuple)):
            self._group("[", value, "]", depth)
        elif isinstance(value, Set):
            self._group("{", value, "}", depth)
        elif value is None or isinstance(value, bool):
            self._add({None: "null", True: "true", False: "false"}[value])
        else:
            self._add(str(value)[: self._left + 1])

    def _group(self, begin: str, items: Any, end: str, depth: int, *, pairs: bool = False) -> None:
        if depth >= self._deepest:
            self.cut = True
            self._add(f"{begin}…{end}")
            return
        self._add(begin)
        for number, item in enumerate(items):
            if number:
                self._add(", ")
            if number >= self._most:
                self.cut = True
                self._add(f"… {len(items)} in all")
                break
            if pairs:
                self.write(item[0], depth + 1)
                self._add(": ")
            self.write(item[1] if pairs else item, depth + 1)
        self._add(end)

    def _text(self, value: str) -> None:
        """Write a text as JSON does, so that nothing in it looks like something else."""
        self.cut |= len(value) > self._left
        self._add(json.dumps(value[: self._left], ensure_ascii=False))

    def _add(self, text: str) -> None:
        self.parts.append(text)
        self._left -= len(text)
        if self._left < 0:
            raise _Full
