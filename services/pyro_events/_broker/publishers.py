"""The last sequence number of every helper publisher, so that a repeated batch changes nothing."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from pyro_events._broker.delivery.pending_result import PendingResult
from pyro_events._broker.snapshot import journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyro_events._broker.recovery.roster_store import RosterStore
    from pyro_events._broker.snapshot.counters import CounterFile


class PublisherRecord:
    """What is known of one publisher: the last number, and what of it is still under way."""

    __slots__ = ("busy", "last", "seen", "slot")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.last: int | None = None
        self.seen = 0.0
        self.busy: PendingResult | None = None

    def news(self, first: int, count: int) -> int:
        """Say how many of `count` publishes from number `first` on are known already."""
        if self.last is None:
            return 0
        return min(max(0, self.last + 1 - first), count)

    def in_turn(self, start: Callable[[], PendingResult]) -> PendingResult:
        """Call `start` when what came before it is finished; gives what finishes with it."""
        if self.busy is None or self.busy.done:
            self.busy = start()
            return self.busy
        held = PendingResult()
        self.busy.when_done(lambda: self.in_turn(start).when_done(held.finish))
        return held


class Publishers:
    """A bounded table: the ones that were idle longest are forgotten first.

    `memory` is in seconds, `limit` a number of publishers. The roster and the counter_file know the
    numbers, too, for the next process.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        memory: float,
        limit: int,
        counter_file: CounterFile,
        store: RosterStore | None,
    ) -> None:
        self._clock = clock
        self._memory = memory
        self._limit = limit
        self._counter_file = counter_file
        self._store = store
        self._table: OrderedDict[str, PublisherRecord] = OrderedDict()

    def __len__(self) -> int:
        return len(self._table)

    def seen(self, publisher_id: str) -> PublisherRecord:
        """Give what is known of a publisher that has just shown up."""
        now = self._clock()
        publisher = self._table.get(publisher_id) or self._new(publisher_id)
        publisher.seen = now
        self._table.move_to_end(publisher_id)
        while len(self._table) > self._limit or self._oldest() < now - self._memory:
            self._forget_oldest()
        return publisher

    def keep(self, publisher: PublisherRecord) -> None:
        """Have the publisher's last number outlive the process."""
        self._counter_file.values[publisher.slot] = publisher.last or 0

    def export(self) -> dict[str, int]:
        """Give the last number of each."""
        return {name: each.last for name, each in self._table.items() if each.last is not None}

    def restore(self, last: Mapping[str, int]) -> None:
        """Know what an earlier process knew; numbers of 0 say nothing."""
        for publisher_id, number in last.items():
            if number:
                publisher = self.seen(publisher_id)
                publisher.last = number
                self.keep(publisher)

    def hand_over(self) -> list[tuple[object, ...]]:
        """Say everything, when no publish is under way."""
        return [(name, p.slot, p.last, p.seen) for name, p in self._table.items()]

    def take_over(self, values: Iterable[tuple[Any, ...]]) -> None:
        """Go on from what another process has handed over."""
        for name, slot, last, seen in values:
            publisher = self._table[name] = PublisherRecord(slot)
            publisher.last, publisher.seen = last, seen

    def _new(self, publisher_id: str) -> PublisherRecord:
        slot = self._counter_file.claim()
        if self._store is not None:
            self._store.note(slot, lambda: journal.pub(slot, publisher_id))
        made = self._table[publisher_id] = PublisherRecord(slot)
        return made

    def _forget_oldest(self) -> None:
        _, publisher = self._table.popitem(last=False)
        self._counter_file.release(publisher.slot)
        if self._store is not None:
            self._store.forget(publisher.slot)

    def _oldest(self) -> float:
        return next(iter(self._table.values())).seen
