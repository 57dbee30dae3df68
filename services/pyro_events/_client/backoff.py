"""How long to wait before trying again. Pure: chance and time are arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 0.02
"""Seconds before the first new attempt."""
LAST = 2.0
"""Seconds that the delay grows to."""
SETTLED = 1.0
"""A connection that lived for so many seconds makes the next delay a first one again."""


class Backoff:
    """Doubles the delay with every failure, each shortened by chance to a half at most.

    `chance` gives numbers from 0 to 1, so that many clients of one service don't come all at once.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._delay = FIRST

    def next(self, lived: float = 0.0) -> float:
        """Give the seconds to wait after a connection that lived so long (0: there was none)."""
        if lived >= SETTLED:
            self._delay = FIRST
        delay = self._delay * (0.5 + self._chance() / 2)
        self._delay = min(self._delay * 2, LAST)
        return delay
