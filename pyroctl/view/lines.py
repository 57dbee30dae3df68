"""Lines of a screen: texts with the role of each part, which the terminal UI turns into styles."""

from __future__ import annotations

from typing import NamedTuple


class Part(NamedTuple):
    """A piece of a line.

    `role` is the name of a state, "dim", "head", "error", "note", "time" or "".
    """

    text: str
    role: str = ""


class Line(NamedTuple):
    """One line; `key` is what it is about, the same whenever it is drawn again."""

    key: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text without its roles."""
        return "".join(part.text for part in self.parts)

    def without(self, role: str) -> Line:
        """Return the line without the parts of a role, such as "time"."""
        return Line(self.key, tuple(part for part in self.parts if part.role != role))


def plain(text: str, role: str = "", key: str = "") -> Line:
    """Return a line of one part."""
    return Line(key, (Part(text, role),))
