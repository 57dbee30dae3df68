"""Counts requests, for the page's own metrics."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pyroctl.core.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator


class Traffic:
    """What was answered since the start. Lives in the event loop's thread."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str, str]] = Counter()
        self._durations: dict[str, Histogram] = {}

    def add(self, method: str, route: str, code: int, seconds: float | None) -> None:
        """Count an answer; `seconds` is None for one that streams."""
        self._answers[method, route, str(code)] += 1
        if seconds is not None:
            self._durations.setdefault(route, Histogram()).observe(seconds)

    def samples(self) -> Iterator[tuple[str, tuple[str, ...], Any]]:
        """Yield samples for Prometheus."""
        for labels, count in self._answers.items():
            yield "pyroctl_web_requests_total", labels, count
        for route, histogram in self._durations.items():
            yield "pyroctl_web_request_duration_seconds", (route,), histogram.plain()
