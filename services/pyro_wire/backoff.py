"""How long to wait before the next attempt. Pure: chance and time are arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 0.02
"""Seconds before the second attempt."""
LAST = 2.0
"""Seconds that the delay grows to, by default."""
SETTLED = 1.0
"""After a connection that lasted this many seconds, the delays begin again."""


class Backoff:
    """Doubles the delay with every failure up to `longest`; chance shortens each to half at most.

    `chance` returns numbers from 0 to 1, so that the clients of one service don't all come at once.
    """

    def __init__(self, chance: Callable[[], float], longest: float | None = None) -> None:
        self._chance = chance
        self._longest = longest
        self._delay = FIRST

    def next(self, lived: float = 0.0, *, renewed: bool = False) -> float:
        """Return the seconds to wait after a connection that lasted `lived` seconds (0: none).

        `renewed` is whether it was the first one to another process: after a restart the delays
        begin again, however soon the next one follows, but a process that drops its clients again
        and again has them wait longer and longer.
        """
        if renewed or lived >= SETTLED:
            self._delay = FIRST
        delay = self._delay * (0.5 + self._chance() / 2)
        self._delay = min(self._delay * 2, self._longest or LAST)
        return delay
