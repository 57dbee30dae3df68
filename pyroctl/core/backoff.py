"""How long to wait before the next restart."""

from __future__ import annotations

JITTER = 0.2
"""A delay varies by this fraction: services that died together don't all return at once."""


def restart_delay(failures: int, first: float, longest: float, chance: float) -> float:
    """Give the seconds to wait after that many failures in a row (from 1).

    The delay doubles from `first` up to `longest`; `chance` (0 to 1) places it within the jitter.
    """
    doublings = min(failures - 1, 64)
    delay = min(first * 2.0**doublings, longest)
    return min(delay * (1 + JITTER * (2 * chance - 1)), longest)
