"""Draws with ASCII characters only, for terminals and fonts that have no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.filter import LineFilter

from pyroctl.view.sparkline import BRAILLE, height

if TYPE_CHECKING:
    from textual.color import Color

LEVELS = " .:|#"
"""Heights of plots."""
SHAPES = {
    **dict.fromkeys("●", "*"),
    **dict.fromkeys("◐◑", "~"),
    **dict.fromkeys("▲", "!"),
    **dict.fromkeys("✖", "X"),
    **dict.fromkeys("■□─━▔▁", "-"),
    **dict.fromkeys("│┃▏▎▍▌▋▊▉▐", "|"),
    **dict.fromkeys("├└╭╮╰╯┌┐┘┤┬┴┼", "+"),
    **dict.fromkeys("▂▃▄▅▆▇█", "#"),
    "·": "-",
    "–": "-",
    "…": "~",
    "→": ">",
    "×": "x",
    "🔎": "> ",
}
TABLE = str.maketrans(SHAPES | {chr(BRAILLE + dots): LEVELS[height(dots)] for dots in range(256)})


class Ascii(LineFilter):
    """Replaces what this program draws; the texts of others stay as they are."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments in ASCII."""
        return [Segment(text.translate(TABLE), style, control) for text, style, control in segments]
