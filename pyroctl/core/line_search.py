"""Looks for a line among those that a process writes. Pure."""

from __future__ import annotations

import re


class LineSearch:
    """Finds the first line that matches a pattern."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)
        self.match: re.Match[str] | None = None
        self.line = ""
        """The line that matched, or the last one so far."""

    def feed(self, lines: bytes) -> None:
        """Examine lines, each with its newline; none after the one that matched."""
        if self.match is not None:
            return
        for self.line in lines.decode(errors="replace").split("\n")[:-1]:
            self.match = self._pattern.search(self.line)
            if self.match is not None:
                return
