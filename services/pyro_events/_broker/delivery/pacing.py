"""How many events a subscriber gets at a time, so that a slow one answers in time. Pure."""

from __future__ import annotations

from typing import Final

_QUICK: Final = 0.25
_SLOW: Final = 1.0
"""Seconds: what is answered in less may grow, what takes more has to shrink."""


def next_limit(limit: int, most: int, took: float, *, full: bool) -> int:
    """Return how many events the next batch may have, at most `most`.

    `limit` is how many the last one was allowed, `full` whether it had as many, and `took` the
    seconds until it was answered.
    """
    if took > _SLOW:
        return max(1, limit // 4)
    return min(limit * 2, most) if took < _QUICK and full else limit
