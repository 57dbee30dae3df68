"""A histogram with fixed bounds, as Prometheus counts: how many values, and their sum. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds for durations of checks."""


@dataclass(slots=True)
class Histogram:
    """Counts values by the first bound that is not less; the last count is for larger ones."""

    bounds: tuple[float, ...] = SECONDS
    counts: list[int] = field(default_factory=list)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def plain(self) -> dict[str, Any]:
        """Return it for JSON: `bounds`, `counts` (one more than bounds) and `sum`."""
        return {"bounds": list(self.bounds), "counts": list(self.counts), "sum": self.sum}
