"""The last sequence number of every helper publisher, so that a repeated batch changes nothing.

A publisher is known by its principal and the id that it has chosen: one who knows the id of
another's publisher only begins a publisher of its own.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_events._broker.delivery.publication import PendingResult
from pyro_events._broker.principal import Principal, share_of
from pyro_events._broker.snapshot import journal
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted
from pyro_events._broker.snapshot.model import PublisherNumber
from pyro_events._protocol.decode_limits import LimitReached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyro_events._broker.recovery.roster_store import RosterStore
    from pyro_events._broker.settings import Settings
    from pyro_events._broker.snapshot.counters import CounterFile


@dataclass(slots=True, eq=False)
class PublisherRecord(Snapshotted):
    """What is known of one publisher: its last number, and what is still under way."""

    SNAPSHOT: ClassVar = Fields("owner", "name", "slot", "last", "idle_since")
    TRANSIENT: ClassVar = (
        "users",  # the sessions count again
        "busy",  # nothing is, when the broker is quiescent
    )

    owner: Principal
    name: str
    slot: int
    last: int | None = None
    idle_since: float = 0.0
    """When the last connection that used it has ended."""
    users: int = 0
    """How many connections use it."""
    busy: PendingResult | None = None

    @property
    def idle(self) -> bool:
        """Whether no connection uses it, and nothing is under way."""
        return not self.users and (self.busy is None or self.busy.done)

    def repeated(self, first: int, count: int) -> int:
        """Return how many of `count` publishes from number `first` on are known already."""
        if self.last is None:
            return 0
        return min(max(0, self.last + 1 - first), count)

    def expects(self, number: int) -> bool:
        """Return whether it is the next number, and nothing before it is still under way."""
        return self.last == number - 1 and (self.busy is None or self.busy.done)

    def in_turn(self, start: Callable[[], PendingResult]) -> PendingResult:
        """Call `start` when what came before it is finished; the result finishes with it."""
        if self.busy is None or self.busy.done:
            self.busy = start()
            return self.busy
        pending = PendingResult()
        self.busy.when_done(lambda: self.in_turn(start).when_done(pending.finish))
        return pending


class Publishers(Snapshotted):
    """A bounded table. One that a connection uses is never forgotten for another one.

    An account that holds its share loses its own publisher that is idle longest; when the table is
    full, the account with the most does. The numbers are also in the counter file and, by slots,
    in the roster, for the next process.
    """

    SNAPSHOT: ClassVar = Fields(
        init=("_records",),
        _records=FieldCodec(lambda them, writer: [each.snapshot(writer) for each in them.values()]),
    )
    TRANSIENT: ClassVar = (
        "_clock", "_settings", "_counter_file", "_store",
        "_held", "_idle",  # they follow from the records
    )  # fmt: skip

    def __init__(
        self,
        clock: Callable[[], float],
        settings: Settings,
        counter_file: CounterFile,
        store: RosterStore | None,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._counter_file = counter_file
        self._store = store
        self._records: dict[tuple[Principal, str], PublisherRecord] = {}
        self._held: Counter[Principal] = Counter()
        """How many each account has."""
        self._idle: dict[Principal, dict[tuple[Principal, str], PublisherRecord]] = {}
        """Those of each account that no connection uses, the ones that are idle longest first."""

    def __len__(self) -> int:
        return len(self._records)

    def restore(self, values: dict[str, Any], reader: object) -> None:
        """Continue with another process's; the sessions will `use` theirs."""
        super().restore(values, reader)
        for each in sorted(values["_records"], key=lambda each: each["idle_since"]):
            record = PublisherRecord(**{**each, "owner": Principal(*each["owner"])})
            self._add(record)
            self._rests(record)

    def in_use(self) -> Iterator[PublisherRecord]:
        """Yield those that a connection uses."""
        return (record for record in self._records.values() if record.users)

    def use(self, owner: Principal, name: str) -> PublisherRecord:
        """Return the record of a publisher, for a connection that begins to use it.

        Raises LimitReached when there is no room, because all others are in use.
        """
        record = self._records.get((owner, name))
        if record is None:
            self._make_room(owner.account)
            record = PublisherRecord(owner, name, self._counter_file.claim())
            self._note(record)
            self._add(record)
        elif not record.users:
            self._stirs(record)
        record.users += 1
        return record

    def leave(self, record: PublisherRecord) -> None:
        """Record that a connection uses a publisher no more."""
        record.users -= 1
        if not record.users:
            record.idle_since = self._clock()
            self._rests(record)

    def keep(self, publisher: PublisherRecord) -> None:
        """Write the publisher's last number where it outlives the process."""
        self._counter_file.values[publisher.slot] = publisher.last or 0

    def export(self) -> list[PublisherNumber]:
        """Return the last number of each, for a planned restart."""
        return [
            PublisherNumber(each.owner, each.name, each.last)
            for each in self._records.values()
            if each.last is not None
        ]

    def adopt(self, numbers: Iterable[PublisherNumber]) -> None:
        """Continue with the numbers of an earlier process; 0 means that there is none."""
        for owner, name, last in numbers:
            if last:
                with contextlib.suppress(LimitReached):  # there may be fewer than before
                    record = self.use(owner, name)
                    record.last = last
                    self.keep(record)
                    self.leave(record)

    def _make_room(self, account: Principal) -> None:
        """Forget what is too old or too much, such that the account can have one more."""
        self._forget_old(account)
        most = self._settings.max_publishers
        if self._held[account] >= share_of(most):
            loser: Principal | None = account
        elif len(self._records) >= most:
            loser = max(self._idle, key=self._held.__getitem__, default=None)
        else:
            return
        if loser is None or not self._forget_oldest(loser):
            raise LimitReached(
                "max_publishers", "all publishers that the event service remembers are in use"
            )

    def _forget_old(self, account: Principal) -> None:
        since = self._clock() - self._settings.publisher_memory
        while idle := self._idle.get(account):
            if next(iter(idle.values())).idle_since >= since or not self._forget_oldest(account):
                return

    def _forget_oldest(self, account: Principal) -> bool:
        record = next((each for each in self._idle.get(account, {}).values() if each.idle), None)
        if record is None:
            return False
        self._stirs(record)
        del self._records[record.owner, record.name]
        self._held[account] -= 1
        if not self._held[account]:
            del self._held[account]
        self._counter_file.release(record.slot)
        if self._store is not None:
            self._store.forget(record.slot)
        return True

    def _add(self, record: PublisherRecord) -> None:
        self._records[record.owner, record.name] = record
        self._held[record.owner.account] += 1

    def _rests(self, record: PublisherRecord) -> None:
        idle = self._idle.setdefault(record.owner.account, {})
        idle[record.owner, record.name] = record

    def _stirs(self, record: PublisherRecord) -> None:
        idle = self._idle[record.owner.account]
        del idle[record.owner, record.name]
        if not idle:
            del self._idle[record.owner.account]

    def _note(self, record: PublisherRecord) -> None:
        if self._store is not None:
            slot, owner, name = record.slot, record.owner, record.name
            self._store.note(slot, lambda: journal.pub(slot, owner, name))


class PublishersInUse(Snapshotted):
    """The publishers of one connection: few, so that one client can't take up the table."""

    __slots__ = ("_all", "_limit", "_records")

    SNAPSHOT: ClassVar = Fields(
        init=("_records",), _records=FieldCodec(lambda records, _: list(records))
    )
    TRANSIENT: ClassVar = ("_all", "_limit")

    def __init__(self, publishers: Publishers, limit: int) -> None:
        self._all = publishers
        self._limit = limit
        self._records: dict[str, PublisherRecord] = {}

    def get(self, owner: Principal, name: str) -> PublisherRecord:
        """Return the record of a publisher of this connection's principal. Raises LimitReached."""
        record = self._records.get(name)
        if record is None:
            if len(self._records) >= self._limit:
                raise LimitReached(
                    "publishers_per_connection",
                    f"one connection is for at most {self._limit} publishers; open another one",
                )
            record = self._records[name] = self._all.use(owner, name)
        return record

    def known(self, name: str) -> PublisherRecord | None:
        """Return the record of a publisher that the connection has used before."""
        return self._records.get(name)

    def resume(self, owner: Principal, values: dict[str, Any]) -> None:
        """Use what the connection has used in another process."""
        for name in values["_records"]:
            self.get(owner, name)

    def close(self) -> None:
        """Leave all of them: the connection has ended."""
        records, self._records = self._records, {}
        for record in records.values():
            self._all.leave(record)
