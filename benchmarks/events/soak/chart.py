"""Draws a run as lines over time, as an SVG without anything but the standard library. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.events.soak.samples import Sample
    from benchmarks.events.soak.verdict import Fact

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _GAP = 900, 70, 70, 20, 46
_LINE, _TEXT, _AXIS = "#c2410c", "#334155", "#cbd5e1"

Points = list[tuple[float, float]]


def draw(title: str, samples: Mapping[str, Sequence[Sample]], facts: Sequence[Fact]) -> str:
    """Return the picture: panels for each process, and the verdict below."""
    panels: list[tuple[str, Points]] = []
    for name, seen in samples.items():
        if any(sample.delivered for sample in seen):
            panels.append(
                (f"{name}: events delivered a second", rates(seen, lambda s: s.delivered))
            )
            panels.append((f"{name}: events queued", _of(seen, lambda s: s.queued)))
        panels.append((f"{name}: memory, MiB (RSS)", _of(seen, lambda s: s.rss_kib / 1024)))
        panels.append((f"{name}: descriptors", _of(seen, lambda s: s.descriptors)))
    parts = [_words(10, 22, title, bold=True)]
    y = 40
    for name, points in panels:
        parts += _panel(y, name, points)
        y += _HEIGHT + _GAP
    for fact in facts:
        verdict = {True: "holds", False: "DOES NOT HOLD", None: "not judged"}[fact.ok]
        parts.append(_words(10, y, f"{fact.name}: {verdict} ({fact.seen})"[:140]))
        y += 18
    size = f'width="{_WIDTH}" height="{y}" viewBox="0 0 {_WIDTH} {y}"'
    style = f'font-family="sans-serif" font-size="12" fill="{_TEXT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style} role="img">'
    label = f"<title>{escape(title)}</title>"
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, label, ground, *parts, "</svg>", ""])


def rates(samples: Sequence[Sample], count: Callable[[Sample], int]) -> Points:
    """Return how much a count has grown a second, between one sample and the next."""
    return [
        (after.at, (count(after) - count(before)) / (after.at - before.at))
        for before, after in pairwise(samples)
        if after.at > before.at
    ]


def _of(samples: Sequence[Sample], value: Callable[[Sample], float]) -> Points:
    return [(sample.at, value(sample)) for sample in samples]


def _panel(y: int, name: str, points: Points) -> list[str]:
    bottom, right = y + _HEIGHT, _WIDTH - _RIGHT
    frame = f'<path d="M{_LEFT} {y}V{bottom}H{right}" fill="none" stroke="{_AXIS}"/>'
    parts = [_words(_LEFT, y - 4, name), frame]
    if len(points) > 1:
        longest = max(x for x, _ in points)
        highest = max(value for _, value in points) or 1.0
        across, up = (right - _LEFT) / longest, _HEIGHT / highest
        path = " ".join(f"{_LEFT + x * across:.1f},{bottom - v * up:.1f}" for x, v in points)
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{_LINE}" stroke-width="1.3"/>',
            _words(_LEFT - 6, y + 10, f"{highest:,.0f}", anchor="end"),
            _words(_LEFT - 6, bottom, "0", anchor="end"),
            _words(right, bottom + 14, f"{longest / 60:.0f} min", anchor="end"),
        ]
    return parts


def _words(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
