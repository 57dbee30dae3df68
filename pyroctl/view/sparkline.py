"""Small plots of one line of text, in Braille. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BRAILLE = 0x2800
LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
"""The dots of a character's left column, by height."""
RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)


def sparkline(values: Sequence[float | None], width: int, *, highest: float = 0.0) -> str:
    """Return the newest values as a plot of `width` characters, two each, the newest at the right.

    The top is the greatest value, or `highest` if that is greater. Any value above 0 is visible;
    None is a gap.
    """
    count = 2 * width
    shown = [None] * (count - len(values)) + list(values[max(0, len(values) - count) :])
    return _drawn(tuple(shown), highest)


def height(dots: int) -> int:
    """Return the height of the higher column of a character, given as its dots."""
    return max(
        LEFT.index(dots & LEFT[-1]) if dots & LEFT[-1] in LEFT else 0,
        RIGHT.index(dots & RIGHT[-1]) if dots & RIGHT[-1] in RIGHT else 0,
    )


@lru_cache(1024)
def _drawn(shown: tuple[float | None, ...], highest: float) -> str:
    """Draw a plot; most services rest, so most plots are those that were drawn before."""
    top = max([highest, *(value for value in shown if value is not None)])
    heights = [_height(value, top) for value in shown]
    pairs = zip(heights[::2], heights[1::2], strict=True)
    return "".join(chr(BRAILLE + LEFT[a] + RIGHT[b]) for a, b in pairs)


def _height(value: float | None, top: float) -> int:
    if not value or top <= 0 or value < 0:
        return 0
    return max(1, round((len(LEFT) - 1) * value / top))
