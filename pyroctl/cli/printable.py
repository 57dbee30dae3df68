"""Text that is safe to show: nothing in it moves the cursor or begins another line."""

from __future__ import annotations

import os
import re

_MARK = f"\ufdd0{os.urandom(8).hex()}:"
"""Stands for the escape character in a style; no text from outside can contain it."""
_COLORS = re.compile(r"\x1b\[[0-9;:]*m")


def styled(text: str, code: str) -> str:
    """Return a text that `shown` displays in the style of an SGR code."""
    return f"{_MARK}{code}m{text}{_MARK}0m"


def shown(line: str) -> str:
    """Return a line for output: styles as escape sequences, anything else made printable."""
    first, *styles = line.split(_MARK)
    parts = (part.partition("m") for part in styles)
    return printable(first) + "".join(f"\x1b[{code}m{printable(text)}" for code, _, text in parts)


def printable(text: str, but: str = "") -> str:
    """Return a text with what is not printable escaped as in Python, except the characters `but`.

    Control characters, escape sequences, line ends and marks that reverse the text's direction are
    not printable.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in but else ascii(c)[1:-1] for c in text)


def log_text(text: str) -> str:
    """Return a service's output for a terminal: without colours, tabs kept, the rest printable."""
    return printable(_COLORS.sub("", text), "\t")
