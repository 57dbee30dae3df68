"""Styles in lines for output, whose text is otherwise made printable."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pyroctl.printable import printable

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyroctl.cli.output import Output

SERVICE_STYLES = ("36", "33", "35", "34", "32", "96", "93", "95", "94", "92")
"""SGR codes by which a terminal tells services apart; not red, which looks like an error."""
_MARK = f"\ufdd0{os.urandom(8).hex()}:"
"""Stands for the escape character in a style; no text from outside can contain it."""


def in_style(text: str, code: str) -> str:
    """Return a text that `shown` displays in the style of an SGR code."""
    return f"{_MARK}{code}m{text}{_MARK}0m"


def shown(line: str) -> str:
    """Return a line for output: styles as escape sequences, anything else made printable."""
    first, *styles = line.split(_MARK)
    parts = (part.partition("m") for part in styles)
    return printable(first) + "".join(f"\x1b[{code}m{printable(text)}" for code, _, text in parts)


class ServiceLabels:
    """The labels of services in front of their output: aligned, and in colour if that is wanted."""

    def __init__(self, output: Output, names: Collection[str]) -> None:
        self._is_coloured = output.wants_color(sys.stdout)
        self._width = max(map(len, names), default=0)
        self._places = {name: place for place, name in enumerate(names)}

    def __call__(self, service: str, mark: str, *, styled: bool = True) -> str:
        """Return the label of one service, ending with the mark and a blank."""
        label = f"{service:<{self._width}} {mark} "
        if not (self._is_coloured and styled):
            return label
        place = self._places.setdefault(service, len(self._places))
        return in_style(label, SERVICE_STYLES[place % len(SERVICE_STYLES)])
