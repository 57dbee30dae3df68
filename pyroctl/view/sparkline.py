"""Small plots of one line of text. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BRAILLE = 0x2800
LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
"""The dots of a character's left column, by height."""
RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
LEVELS = " .:-=+*#"
"""Heights in plain ASCII, one character a value."""


def sparkline(
    values: Sequence[float | None], width: int, *, highest: float = 0.0, plain: bool = False
) -> str:
    """Return the newest values as a plot of `width` characters, the newest at the right.

    Braille has two values a character, plain ASCII one. The top is the greatest value, or `highest`
    if that is greater. Any value above 0 is visible; None is a gap.
    """
    count = width if plain else 2 * width
    shown = [None] * (count - len(values)) + list(values[max(0, len(values) - count) :])
    return _drawn(tuple(shown), highest, plain)


@lru_cache(1024)
def _drawn(shown: tuple[float | None, ...], highest: float, plain: bool) -> str:
    """Draw a plot; most services rest, so most plots are those that were drawn before."""
    top = max([highest, *(value for value in shown if value is not None)])
    steps = len(LEVELS) - 1 if plain else len(LEFT) - 1
    heights = [_height(value, top, steps) for value in shown]
    if plain:
        return "".join(LEVELS[height] for height in heights)
    pairs = zip(heights[::2], heights[1::2], strict=True)
    return "".join(chr(BRAILLE + LEFT[a] + RIGHT[b]) for a, b in pairs)


def _height(value: float | None, top: float, steps: int) -> int:
    if not value or top <= 0 or value < 0:
        return 0
    return max(1, round(steps * value / top))
