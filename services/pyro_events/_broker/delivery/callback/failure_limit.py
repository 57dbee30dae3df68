"""How many callback subscribers of one principal may turn out to be unreachable. Pure.

So no client can use the event service to find out, quickly, which ports of a host are open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyro_events._protocol.decode_limits import LimitReached

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.principal import Principal

_PERIOD: Final = 60.0
_REMEMBERED: Final = 1000
"""Principals, of which the one that failed first is forgotten first."""


class FailureLimit:
    """Counts new subscribers that could not be connected to, within a minute."""

    def __init__(self, clock: Callable[[], float], limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._failures: dict[Principal, tuple[float, int]] = {}
        """When each principal's minute has begun, and how many failures it has seen."""

    def failed(self, owner: Principal) -> None:
        """Count a subscriber that could not be connected to when it was new."""
        since, count = self._present(owner)
        self._failures[owner] = since, count + 1
        if len(self._failures) > _REMEMBERED:
            del self._failures[next(iter(self._failures))]

    def check(self, owner: Principal) -> None:
        """Raise LimitReached for a principal that has failed too often in this minute."""
        since, count = self._present(owner)
        if count >= self._limit:
            left = since + _PERIOD - self._clock()
            raise LimitReached(
                "callback_failures",
                f"{count} subscribers of {owner} could not be connected to: check their addresses, "
                f"and subscribe again in {left:.0f} s",
            )

    def _present(self, owner: Principal) -> tuple[float, int]:
        """Return the beginning and the count of the minute that is running."""
        now = self._clock()
        since, count = self._failures.get(owner, (now, 0))
        if now - since < _PERIOD:
            return since, count
        del self._failures[owner]
        return now, 0
