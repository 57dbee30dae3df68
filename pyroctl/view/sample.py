"""One measurement as what people plot: a flat table of numbers for each service. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.view.rates import between, quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

GAUGES = ("rss_bytes", "fds", "threads", "processes")
ES_GAUGES = ("queued", "held", "connections", "subscribers", "publishers")


def sample(
    before: Mapping[str, Any] | None,
    now: Mapping[str, Any],
    rates: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, float | None]]:
    """Return the numbers of each service, by its name; None is unknown.

    `rates` are those between the two measurements. `p50` and `p99` are seconds that an event took
    from its acceptance to the subscriber's socket, of those between the two.
    """
    earlier = {} if before is None else {row["name"]: row for row in before["services"]}
    return {
        row["name"]: _sample(earlier.get(row["name"]), row, rates.get(row["name"], {}))
        for row in now["services"]
    }


def _sample(
    before: Mapping[str, Any] | None, now: Mapping[str, Any], rates: Mapping[str, Any]
) -> dict[str, float | None]:
    found: dict[str, float | None] = {**rates, **{key: now[key] for key in GAUGES}}
    found["restarts"] = sum(now["restarts"].values())
    if "es" in now:
        es, old = now["es"] or {}, (before or {}).get("es") or {}
        found |= {key: es.get(key) for key in ES_GAUGES}
        delays = None
        if "delivery" in es:
            one_run = old.get("incarnation") == es["incarnation"]
            delays = between(old.get("delivery") if one_run else None, es["delivery"])
        found |= {"p50": quantile(delays, 0.5), "p99": quantile(delays, 0.99)}
    if "names" in now:
        found["names"] = (now["names"] or {}).get("names")
    return found
