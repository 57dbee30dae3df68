"""The last sequence number of every helper publisher, so that a repeated batch changes nothing."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events.engine.held import Held


class Publisher:
    """What is known of one publisher: the last number, and what of it is still under way."""

    __slots__ = ("busy", "last", "seen")

    def __init__(self) -> None:
        self.last: int | None = None
        self.seen = 0.0
        self.busy: Held | None = None

    def news(self, first: int, count: int) -> int:
        """Say how many of `count` publishes from number `first` on are known already."""
        if self.last is None:
            return 0
        return min(max(0, self.last + 1 - first), count)

    def in_turn(self, start: Callable[[], None]) -> None:
        """Call `start` when what came before it is finished."""
        if self.busy is None or self.busy.done:
            start()
        else:
            self.busy.when_done(lambda: self.in_turn(start))


class Publishers:
    """A bounded table: the ones that were idle longest are forgotten first.

    `memory` is in seconds, `limit` a number of publishers.
    """

    def __init__(self, clock: Callable[[], float], memory: float, limit: int) -> None:
        self._clock = clock
        self._memory = memory
        self._limit = limit
        self._table: OrderedDict[str, Publisher] = OrderedDict()

    def __len__(self) -> int:
        return len(self._table)

    def seen(self, publisher_id: str) -> Publisher:
        """Give what is known of a publisher that has just shown up."""
        now = self._clock()
        publisher = self._table.setdefault(publisher_id, Publisher())
        publisher.seen = now
        self._table.move_to_end(publisher_id)
        while len(self._table) > self._limit or self._oldest() < now - self._memory:
            self._table.popitem(last=False)
        return publisher

    def _oldest(self) -> float:
        return next(iter(self._table.values())).seen
