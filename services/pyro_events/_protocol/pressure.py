"""What full queues do to publishers and subscribers: the choices of both, checked."""

from __future__ import annotations

from math import inf, isnan
from typing import Final, get_args

from pyro_events.types import WhenFull

PATIENCE: Final = 0.1
"""Seconds that a publish waits for full queues unless its publisher says otherwise."""
BLOCK_IS_GONE: Final = (
    'when_full can\'t be "block": a subscriber never makes publishers wait; for a pipeline that '
    "loses nothing, make its publishers patient: Publisher(patience=None), or the patience of the "
    "event service for stock Pyro5 clients"
)


def check_when_full(policy: object) -> WhenFull:
    """Return what happens to an event for a full queue; raises ValueError."""
    if policy == "block":
        raise ValueError(BLOCK_IS_GONE)
    if policy not in get_args(WhenFull):
        choices = ", ".join(map(repr, get_args(WhenFull)))
        raise ValueError(f"when_full must be one of {choices}, not {policy!r:.60}")
    return policy  # type: ignore[return-value] # it is one of them


def check_patience(patience: object) -> float:
    """Return a publisher's patience in seconds, infinity for None; raises TypeError, ValueError."""
    if patience is None:
        return inf
    if isinstance(patience, bool) or not isinstance(patience, (int, float)):
        raise TypeError(f"patience must be a number of seconds or None, not {patience!r:.60}")
    if isnan(patience) or patience < 0:
        raise ValueError(f"patience must be at least 0 seconds, not {patience!r:.60}")
    return float(patience)
