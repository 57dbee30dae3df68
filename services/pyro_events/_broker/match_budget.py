"""How much time patterns may take, and who has taken too much. Pure.

A match that takes less than FREE is ordinary work, which grows with what clients publish and
subscribe. Longer ones are paid from one budget for all patterns together, which is refilled slowly:
however many costly patterns there are, and whoever subscribes to them, all publishes together spend
no more than that on them. Patterns that exhaust it, and their subscribers, are charged, and
suspended in the end. Charges outlive the subscription.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from pyro_events._protocol.patterns import MATCH_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

FREE: Final = 20e-6
"""Seconds. What `Pattern.quick` promises, too."""
BUDGET: Final = 0.05
"""Seconds that slow matches may take at once: people don't notice it, and ten costly patterns are
found out in it."""
REFILL: Final = 0.2
"""The part of the time that slow matches may take in the long run."""
PATTERN_LIMIT: Final = 2.5 * MATCH_TIMEOUT
"""Charged seconds after which a pattern is suspended: at the third match that is cut off."""
OWNER_LIMIT: Final = 10 * MATCH_TIMEOUT
"""Charged seconds after which all patterns of a subscriber that may backtrack are suspended."""
REMEMBERED: Final = 1000
"""Patterns, and subscribers, whose charges are remembered."""


class Charges:
    """Seconds by name. The names that were charged first are forgotten first."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._seconds: OrderedDict[Hashable, float] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._seconds)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._seconds

    def add(self, name: Hashable, seconds: float) -> bool:
        """Charge the name; return whether that takes it over the limit."""
        before = self._seconds.get(name, 0.0)
        self._seconds[name] = before + seconds
        if len(self._seconds) > REMEMBERED:
            self._seconds.popitem(last=False)
        return before < self._limit <= before + seconds

    def exceeded(self, name: Hashable) -> bool:
        """Return whether the name is over the limit."""
        return self._seconds.get(name, 0.0) >= self._limit

    def plain(self) -> list[tuple[Hashable, float]]:
        """Return all charges, for `restore`."""
        return list(self._seconds.items())

    def restore(self, plain: Iterable[tuple[Hashable, float]]) -> None:
        """Continue with the charges of another process."""
        self._seconds = OrderedDict(plain)


class MatchBudget:
    """The time for slow matches, of all patterns together. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = BUDGET
        self._then = clock()
        self._spent: dict[str, float] = {}
        """Seconds by pattern since the budget was full."""
        self._charged: dict[str, float] = {}
        """How much of that was charged already."""

    def refill(self) -> None:
        """Add what has come since the last time."""
        now = self._clock()
        self._left = min(BUDGET, self._left + (now - self._then) * REFILL)
        self._then = now
        if self._left == BUDGET and self._spent:
            self._spent.clear()
            self._charged.clear()

    def allows(self, slowest: float | None) -> bool:
        """Return whether a pattern may be tried whose slowest match took so long, None if unknown.

        Those that were quick so far overdraw the budget, as they usually take nothing of it.
        """
        quick = slowest is not None and slowest <= FREE
        return self._left > (-BUDGET if quick else 0.0)

    def spend(self, text: str, seconds: float, *, cut_off: bool) -> dict[str, float]:
        """Record a match; return the seconds to be charged for it, by pattern.

        A match that was cut off is charged. When the budget is exhausted, those that have taken at
        least an equal share of it are.
        """
        if seconds <= FREE and not cut_off:
            return {}
        before, self._left = self._left, self._left - seconds
        spent, charged = self._spent, self._charged
        spent[text] = spent.get(text, 0.0) + seconds
        due = {text: seconds} if cut_off else {}
        if before > 0.0 >= self._left:
            share = sum(spent.values()) / len(spent)
            for each, total in spent.items():
                known = charged.get(each, 0.0)
                if total >= share and total > known:
                    due[each] = total - known
        for each, more in due.items():
            charged[each] = charged.get(each, 0.0) + more
        return due
