"""What a stop or a restart would cost clients, from the answer to `foresee`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.core.plan import closure, reverse
from pyroctl.view.subscribers import subscriber_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

MOST_SHOWN = 20
"""Lines about one service; the others are only counted."""


def describe_cost(entry: Mapping[str, Any]) -> list[str]:
    """Return lines about what the clients of one service would lose, and who is told."""
    service = entry["service"]
    if "names" in entry:
        names = entry["names"]
        head = f"{service} keeps its names in memory; these will be lost:"
        return [head, *_shorten([f"    {name}" for name in names])]
    if "disconnected" in entry:
        head = f"these clients of {service} use TLS without a helper, and will be disconnected:"
        return [head, *_shorten([f"    {name}" for name in entry["disconnected"]])]
    lines = []
    if entry["lost"]:
        lines.append(f"these plain subscribers of {service} will lose their subscriptions:")
        lines += _shorten([subscriber_line(row) for row in entry["lost"]])
    if entry["aware"]:
        lines.append(f"aware subscribers of {service} that will be notified: {entry['aware']}")
    return lines


def also_stopped(names: Collection[str], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return which other services a stop of these stops first, as they need them."""
    rows = list(rows)
    needs = {row["name"]: row["needs"] for row in rows}
    above = closure(names or needs, reverse(needs)) - set(names)
    return [row["name"] for row in rows if row["name"] in above and row["pid"] is not None]


def sum_up(found: Sequence[Mapping[str, Any]]) -> str:
    """Return in one sentence what would be lost."""
    parts = [f"{len(losers(entry))} of {entry['service']}" for entry in found]
    return f"clients would lose subscriptions, names or connections: {', '.join(parts)}"


def losers(entry: Mapping[str, Any]) -> Sequence[Any]:
    """Return those who would lose something."""
    return entry.get("lost") or entry.get("names") or entry.get("disconnected") or ()


def _shorten(lines: list[str]) -> list[str]:
    if len(lines) <= MOST_SHOWN:
        return lines
    return [*lines[:MOST_SHOWN], f"    and {len(lines) - MOST_SHOWN} more"]
