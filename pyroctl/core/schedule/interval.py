"""Lengths of time as people write them: `1h30m`. Pure."""

from __future__ import annotations

import re

UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_INTERVAL = re.compile(
    "".join(rf"(?:(\d+(?:\.\d+)?) ?{unit} ?)?" for unit in UNITS), re.ASCII | re.IGNORECASE
)


def seconds(text: str) -> float | None:
    """Return the seconds of a text such as "30m", "1h30m" or "90 s"; None if it isn't one."""
    match = _INTERVAL.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    parts = zip(match.groups(), UNITS.values(), strict=True)
    return sum(float(number) * unit for number, unit in parts if number)
