"""Tables and numbers as Markdown."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, or an empty text without rows."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def span(values: Sequence[float], digits: int | None = None) -> str:
    """Show the median, with the lowest and the highest."""
    if not values:
        return "–"
    if digits is None:
        return f"{rounded(median(values))} ({rounded(min(values))}–{rounded(max(values))})"
    low, mid, high = min(values), median(values), max(values)
    return f"{mid:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def rounded(value: float) -> str:
    """Show three digits."""
    digits = max(0, len(str(int(value))) - 3)
    return f"{round(value, -digits):,.0f}"
