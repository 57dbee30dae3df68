"""Styles in lines for output, whose text is otherwise made printable."""

from __future__ import annotations

import os

from pyroctl.printable import printable

_MARK = f"\ufdd0{os.urandom(8).hex()}:"
"""Stands for the escape character in a style; no text from outside can contain it."""


def styled(text: str, code: str) -> str:
    """Return a text that `shown` displays in the style of an SGR code."""
    return f"{_MARK}{code}m{text}{_MARK}0m"


def shown(line: str) -> str:
    """Return a line for output: styles as escape sequences, anything else made printable."""
    first, *styles = line.split(_MARK)
    parts = (part.partition("m") for part in styles)
    return printable(first) + "".join(f"\x1b[{code}m{printable(text)}" for code, _, text in parts)
