"""Durations as they are typed on command lines."""

from __future__ import annotations

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Return the seconds in a duration such as `90s`, `5m`, `2h` or `1d`; raises ValueError."""
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not number.replace(".", "", 1).isdigit():
        raise ValueError(f"{text!r} is not a duration")
    return float(number) * UNITS[unit]
