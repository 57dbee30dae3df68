"""Text that is safe to show: nothing in it moves the cursor or begins another line. Pure."""

from __future__ import annotations

import re

_COLORS = re.compile(r"\x1b\[[0-9;:]*m")


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
    return printable(_COLORS.sub("", text.removesuffix("\r")), "\t")


def brief(text: str, longest: int) -> str:
    """Return a text from outside as a part of a sentence: printable, and no longer than that."""
    text = log_text(text).strip()
    return text if len(text) <= longest else text[: longest - 1] + "…"
