"""The last minutes of measurements, for plots. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from pyroctl.view.rates import between, quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Values = Sequence[float | None]

KEPT = 240
"""Values of each series."""
ALL = ""
"""In place of a service: all of them together."""
SUMMED = ("cpu_percent", "rss_bytes", "published", "queued")


class Recent:
    """The last values of what is measured, by service; those of `ALL` are sums."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._series: dict[tuple[str, str], deque[float | None]] = {}
        self._delivery: dict[str, Mapping[str, Any]] = {}

    def add(self, sample: Mapping[str, Any], rates: Mapping[str, Mapping[str, Any]]) -> None:
        """Add a measurement and the rates since the one before, see `view.rates`."""
        rows = {
            row["name"]: self._values(row, rates.get(row["name"], {})) for row in sample["services"]
        }
        for key in SUMMED:
            known = [values[key] for values in rows.values() if values.get(key) is not None]
            rows.setdefault(ALL, {})[key] = sum(known) if known else None
        slowest = [values["p99"] for values in rows.values() if values.get("p99") is not None]
        rows[ALL]["p99"] = max(slowest, default=None)
        for name in {name for name, _ in self._series} - set(rows):
            self._series = {at: kept for at, kept in self._series.items() if at[0] != name}
        for name, values in rows.items():
            for key, value in values.items():
                self._series.setdefault((name, key), deque(maxlen=self._kept)).append(value)

    def of(self, service: str, key: str) -> Values:
        """Return a series, the oldest value first; None is one that is not known."""
        return tuple(self._series.get((service, key), ()))

    def last(self, service: str, key: str) -> float | None:
        """Return the newest value."""
        found = self._series.get((service, key))
        return found[-1] if found else None

    def keys(self, service: str) -> Iterable[str]:
        """Return which series there are of a service."""
        return [key for name, key in self._series if name == service]

    def _values(self, row: Mapping[str, Any], rates: Mapping[str, Any]) -> dict[str, Any]:
        values = {"cpu_percent": rates.get("cpu_percent"), "rss_bytes": row["rss_bytes"]}
        es = row.get("es")
        if "es" in row:
            values |= {key: rates.get(key) for key in ("published", "delivered", "dropped")}
            values["queued"] = None if es is None else es["queued"]
            values["p99"] = self._p99(row["name"], es)
        if row.get("names") is not None:
            values["names"] = row["names"].get("names")
        return values

    def _p99(self, name: str, es: Mapping[str, Any] | None) -> float | None:
        """Return within how many seconds 99 % of the events since the last look were sent."""
        now = None if es is None else es.get("delivery")
        before = self._delivery.pop(name, None)
        if now is None:
            return None
        self._delivery[name] = now
        return None if before is None else quantile(between(before, now), 0.99)
