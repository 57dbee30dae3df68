"""How long to wait before the next attempt. Pure: chance and time are arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 0.02
"""Seconds before the first new attempt."""
LAST = 2.0
"""Seconds to which the delay grows."""
SETTLED = 1.0
"""Seconds after which a connection counts as stable: the next delay is the first one again."""


class Backoff:
    """Doubles the delay with every failure, and shortens each at random, by a half at most.

    `chance` returns numbers from 0 to 1, so that the clients of one service spread their attempts.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._delay = FIRST

    def next(self, lived: float = 0.0) -> float:
        """Return the seconds to wait after a connection of `lived` seconds (0: there was none)."""
        if lived >= SETTLED:
            self._delay = FIRST
        delay = self._delay * (0.5 + self._chance() / 2)
        self._delay = min(self._delay * 2, LAST)
        return delay
