"""Draws the rates as horizontal bars, as an SVG without anything but the standard library."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from benchmarks.events import systems
from benchmarks.events.markdown import rounded

if TYPE_CHECKING:
    from benchmarks.events.runs import Results

_LEFT, _WIDTH, _BAR, _GAP, _HEAD = 300, 420, 16, 6, 34
_OURS, _THEIRS, _TEXT = "#c2410c", "#64748b", "#334155"


def draw(results: Results) -> str:
    """Return the picture: a group for each fan-out, the fastest first."""
    parts: list[str] = []
    y = 10
    for fan_out in sorted({fan_out for _, fan_out in results.flows}):
        bars = _bars(results, fan_out)
        if not bars:
            continue
        number = "one subscriber" if fan_out == 1 else f"{fan_out} subscribers"
        parts.append(_words(10, y + 18, f"one publisher, {number}"))
        y += _HEAD
        longest = max(rate for _, rate, _ in bars)
        for title, rate, ours in bars:
            parts += _bar(y, title, rate, rate / longest, ours=ours)
            y += _BAR + _GAP
        y += 12
    size = f'width="{_LEFT + _WIDTH + 110}" height="{y}"'
    box = f'viewBox="0 0 {_LEFT + _WIDTH + 110} {y}"'
    style = f'font-family="sans-serif" font-size="13" fill="{_TEXT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} {style} role="img">'
    label = "<title>Decoded messages per second in the subscribers' callbacks</title>"
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, label, ground, *parts, "</svg>", ""])


def _bars(results: Results, fan_out: int) -> list[tuple[str, float, bool]]:
    bars = []
    for system in systems.FLOWING:
        runs = results.flows.get((system.name, fan_out))
        if runs:
            rate = median(run.delivered for run in runs)
            bars.append((system.title, rate, system.name.startswith("es-")))
    return sorted(bars, key=lambda bar: -bar[1])


def _bar(y: int, title: str, rate: float, share: float, *, ours: bool) -> list[str]:
    width = max(1.0, share * _WIDTH)
    colour = _OURS if ours else _THEIRS
    rect = f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}" rx="2"/>'
    middle = y + _BAR - 4
    return [
        _words(_LEFT - 8, middle, title, anchor="end"),
        rect,
        _words(_LEFT + width + 6, middle, f"{rounded(rate)}/s"),
    ]


def _words(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    weight = ' font-weight="bold"' if x == 10 else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
