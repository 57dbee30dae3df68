"""How much time patterns may take, and who has taken too much. Pure.

A match that takes less than FREE is ordinary work, which grows with what clients publish and
subscribe. Longer ones are paid from one budget for all patterns together, which is refilled slowly:
however many costly patterns there are, and whoever subscribes to them, all publishes together spend
no more than that on them. Patterns that exhaust it, and their subscribers, are charged, and
suspended in the end. Charges outlive the subscription. What is suspended can be followed by a new
subscriber, so those that are new or were charged have a smaller budget as well, one for all of a
client: it can't go on like that with others.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from pyro_events._protocol.patterns import MATCH_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

FREE: Final = 20e-6
"""Seconds. What `Pattern.quick` promises, too."""
BUDGET: Final = 0.05
"""Seconds that slow matches may take at once: people don't notice it, and ten costly patterns are
found out in it."""
REFILL: Final = 0.2
"""The part of the time that slow matches may take in the long run."""
PATTERN_LIMIT: Final = 2.5 * MATCH_TIMEOUT
"""Charged seconds after which a pattern is suspended: at the third match that is cut off."""
NEW_BUDGET: Final = PATTERN_LIMIT
NEW_REFILL: Final = 0.02
"""The same for the new subscribers of one client: one costly pattern is found out in it."""
NEW: Final = 10.0
"""Seconds for which a subscriber is new."""
OWNER_LIMIT: Final = 10 * MATCH_TIMEOUT
"""Charged seconds after which all patterns of a subscriber that may backtrack are suspended."""
REMEMBERED: Final = 1000
"""Patterns, and subscribers, whose charges are remembered."""


class Charges:
    """Seconds by name. The names that were charged first are forgotten first."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._seconds: OrderedDict[Hashable, float] = OrderedDict()
        self.over: set[Hashable] = set()
        """The names that are over the limit."""

    @property
    def names(self) -> Collection[Hashable]:
        """All names that were charged, also in future."""
        return self._seconds.keys()

    def add(self, name: Hashable, seconds: float) -> bool:
        """Charge the name; return whether that takes it over the limit."""
        before = self._seconds.get(name, 0.0)
        self._seconds[name] = before + seconds
        exceeds = before < self._limit <= before + seconds
        if exceeds:
            self.over.add(name)
        if len(self._seconds) > REMEMBERED:
            self.over.discard(self._seconds.popitem(last=False)[0])
        return exceeds

    def exceeded(self, name: Hashable) -> bool:
        """Return whether the name is over the limit."""
        return name in self.over

    def plain(self) -> list[tuple[Hashable, float]]:
        """Return all charges, for `restore`."""
        return list(self._seconds.items())

    def restore(self, plain: Collection[tuple[Hashable, float]]) -> None:
        """Continue with the charges of another process."""
        self._seconds = OrderedDict(plain)
        self.over = {name for name, seconds in plain if seconds >= self._limit}


class MatchBudget:
    """The time for slow matches of patterns, together. `clock` returns seconds."""

    def __init__(
        self, clock: Callable[[], float], most: float = BUDGET, refill: float = REFILL
    ) -> None:
        self._clock = clock
        self._most = most
        self._refill = refill
        self._left = most
        self._then = clock()
        self._spent: dict[str, float] = {}
        """Seconds by pattern since the budget was full."""
        self._charged: dict[str, float] = {}
        """How much of that was charged already."""

    def refill(self) -> bool:
        """Add what has come since the last time; return whether nothing is missing now."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._then) * self._refill)
        self._then = now
        if self._left == self._most and self._spent:
            self._spent.clear()
            self._charged.clear()
        return self._left == self._most

    def allows(self, slowest: float | None) -> bool:
        """Return whether a pattern may be tried whose slowest match took so long, None if unknown.

        Those that were quick so far overdraw the budget, as they usually take nothing of it.
        """
        quick = slowest is not None and slowest <= FREE
        return self._left > (-self._most if quick else 0.0)

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


class MatchTime:
    """The time for slow matches, of all patterns and of each client's newcomers.

    `client` is that of a pattern that has new or charged subscribers only, else None.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._common = MatchBudget(clock)
        self._newcomers: OrderedDict[Hashable, MatchBudget] = OrderedDict()

    def refill(self) -> None:
        """Add what has come since the last time."""
        self._common.refill()
        for client in [client for client, budget in self._newcomers.items() if budget.refill()]:
            del self._newcomers[client]

    def allows(self, slowest: float | None, client: Hashable | None) -> bool:
        """Return whether a pattern may be tried; see `MatchBudget.allows`."""
        if not self._common.allows(slowest):
            return False
        own = None if client is None else self._newcomers.get(client)
        return own is None or own.allows(slowest)

    def spend(
        self, text: str, seconds: float, client: Hashable | None, *, cut_off: bool
    ) -> dict[str, float]:
        """Record a match; return the seconds to be charged for it, by pattern."""
        due = self._common.spend(text, seconds, cut_off=cut_off)
        if client is None:
            return due
        own = self._newcomers.get(client)
        if own is None:
            own = self._newcomers[client] = MatchBudget(self._clock, NEW_BUDGET, NEW_REFILL)
            if len(self._newcomers) > REMEMBERED:
                self._newcomers.popitem(last=False)
        return own.spend(text, seconds, cut_off=cut_off)
