"""Rates from measurements: differences of numbers that only grow. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTS = ("published", "delivered", "dropped", "unmatched", "received_bytes", "sent_bytes")
"""Of an event service, as far as it reports them."""


def rates(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rates between two answers to `measure`, by service.

    `cpu_percent` is of one processor, all others are per second, such as `published`. A value is
    None if it is not known, as for a process that is not the one that was measured before.
    """
    earlier = {} if before is None else {row["name"]: row for row in before["services"]}
    seconds = 0.0 if before is None else now["clock"] - before["clock"]
    return {row["name"]: _rates(earlier.get(row["name"]), row, seconds) for row in now["services"]}


def _rates(before: Mapping[str, Any] | None, now: Mapping[str, Any], s: float) -> dict[str, Any]:
    same = before is not None and s > 0 and before["pid"] == now["pid"] is not None
    cpu = _per_second(before, now, "cpu_seconds", s) if same else None
    found: dict[str, Any] = {"cpu_percent": None if cpu is None else round(100 * cpu, 1)}
    if "log" in now:
        found["log_bytes"] = _per_second(_log(before), _log(now), "bytes", s) if same else None
    if "es" in now:
        old, new = (before or {}).get("es"), now["es"]
        one_run = old is not None and new is not None and old["incarnation"] == new["incarnation"]
        for key in COUNTS:
            found[key] = _per_second(old, new, key, s) if one_run and s > 0 else None
    return found


def _per_second(
    before: Mapping[str, Any] | None, now: Mapping[str, Any] | None, key: str, seconds: float
) -> float | None:
    old, new = (before or {}).get(key), (now or {}).get(key)
    if old is None or new is None or new < old:
        return None
    return float(new - old) / seconds


def _log(row: Mapping[str, Any] | None) -> dict[str, Any]:
    if row is None or not row["log"]["streams"]:
        return {}
    return {"bytes": sum(each.get("bytes", 0) for each in row["log"]["streams"].values())}


def subject_rates(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the subjects of an inventory with their `rate` per second since an earlier one.

    The fastest come first.
    """
    goes_on = now["seconds"] >= before["seconds"]
    old = {row["subject"]: row["count"] for row in before["subjects"]} if goes_on else {}
    seconds = now["seconds"] - (before["seconds"] if goes_on else 0.0)

    def rate(row: Mapping[str, Any]) -> float | None:
        new = row["count"] - old.get(row["subject"], row["error"])
        return round(max(0, new) / seconds, 3) if seconds > 0 else None

    rows = [{**row, "rate": rate(row)} for row in now["subjects"]]
    return sorted(rows, key=lambda row: -(row["rate"] or 0))


def quantile(histogram: Mapping[str, Any] | None, fraction: float) -> float | None:
    """Return an upper bound for that fraction of the values; None without any.

    For values beyond the last bound it is that bound.
    """
    if not histogram or not (total := sum(histogram["counts"])):
        return None
    seen = 0
    for bound, count in zip(histogram["bounds"], histogram["counts"], strict=False):
        seen += count
        if seen >= fraction * total:
            return float(bound)
    return float(histogram["bounds"][-1])


def between(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the histogram of what was counted since an earlier one of the same counter."""
    old = before["counts"] if before is not None else [0] * len(now["counts"])
    counts = [new - was for was, new in zip(old, now["counts"], strict=True)]
    return {**now, "counts": counts} if min(counts) >= 0 else dict(now)
