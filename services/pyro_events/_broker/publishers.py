"""The last sequence number of every helper publisher, so that a repeated batch changes nothing."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from pyro_events._broker.delivery.publication import PendingResult
from pyro_events._broker.snapshot import journal
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyro_events._broker.recovery.roster_store import RosterStore
    from pyro_events._broker.snapshot.counters import CounterFile


@dataclass(slots=True, eq=False)
class PublisherRecord(Snapshotted):
    """What is known of one publisher: its last number, and what is still under way."""

    SNAPSHOT: ClassVar = Fields("last", "seen", "slot")
    TRANSIENT: ClassVar = ("busy",)  # nothing is, when the broker is quiescent

    slot: int
    last: int | None = None
    seen: float = 0.0
    busy: PendingResult | None = None

    def repeated(self, first: int, count: int) -> int:
        """Return how many of `count` publishes from number `first` on are known already."""
        if self.last is None:
            return 0
        return min(max(0, self.last + 1 - first), count)

    def in_turn(self, start: Callable[[], PendingResult]) -> PendingResult:
        """Call `start` when what came before it is finished; the result finishes with it."""
        if self.busy is None or self.busy.done:
            self.busy = start()
            return self.busy
        pending = PendingResult()
        self.busy.when_done(lambda: self.in_turn(start).when_done(pending.finish))
        return pending


@dataclass(eq=False)
class Publishers(Snapshotted):
    """A bounded table: the publishers that were idle longest are forgotten first.

    `memory` is in seconds, `limit` a number of publishers. The numbers are also in the counter file
    and, by slots, in the roster, for the next process.
    """

    SNAPSHOT: ClassVar = Fields(
        _table=FieldCodec(
            lambda table, writer: [(name, each.snapshot(writer)) for name, each in table.items()],
            lambda values, _: OrderedDict((name, PublisherRecord(**each)) for name, each in values),
        )
    )
    TRANSIENT: ClassVar = ("_clock", "_memory", "_limit", "_counter_file", "_store")

    _clock: Callable[[], float]
    _memory: float
    _limit: int
    _counter_file: CounterFile
    _store: RosterStore | None
    _table: OrderedDict[str, PublisherRecord] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._table)

    def seen(self, publisher_id: str) -> PublisherRecord:
        """Return the record of a publisher that sends something now."""
        now = self._clock()
        publisher = self._table.get(publisher_id) or self._new(publisher_id)
        publisher.seen = now
        self._table.move_to_end(publisher_id)
        while len(self._table) > self._limit or self._oldest() < now - self._memory:
            self._forget_oldest()
        return publisher

    def keep(self, publisher: PublisherRecord) -> None:
        """Write the publisher's last number where it outlives the process."""
        self._counter_file.values[publisher.slot] = publisher.last or 0

    def export(self) -> dict[str, int]:
        """Return the last number of each, for a planned restart."""
        return {name: each.last for name, each in self._table.items() if each.last is not None}

    def adopt(self, last: Mapping[str, int]) -> None:
        """Continue with the numbers of an earlier process; 0 means that there is none."""
        for publisher_id, number in last.items():
            if number:
                publisher = self.seen(publisher_id)
                publisher.last = number
                self.keep(publisher)

    def _new(self, publisher_id: str) -> PublisherRecord:
        slot = self._counter_file.claim()
        if self._store is not None:
            self._store.note(slot, lambda: journal.pub(slot, publisher_id))
        return self._table.setdefault(publisher_id, PublisherRecord(slot))

    def _forget_oldest(self) -> None:
        _, publisher = self._table.popitem(last=False)
        self._counter_file.release(publisher.slot)
        if self._store is not None:
            self._store.forget(publisher.slot)

    def _oldest(self) -> float:
        return next(iter(self._table.values())).seen
