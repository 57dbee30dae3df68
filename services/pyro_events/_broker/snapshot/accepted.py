"""The events that were accepted: what is written into a ring, and what that adds up to.

    begin     an incarnation, and what its subscribers have from the one before
    publish   who published, up to which number, who gets which events, and how many were promised
              to each by then
    cut       what was for that subscriber before is not all there any more, or not in order
    claimed   the slot has another owner
    renumber  the numbers of that subscriber begin with 1 again

A subscriber or publisher is known by its slot in the counter file, and to the next process by the
roster. A subscriber's events are in the order in which it gets them, and end with the newest one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgpack

from pyro_events._broker.snapshot.model import UnreadableSnapshot
from pyro_events._protocol.runs import count_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyro_events._broker.snapshot.counters import CounterFile
    from pyro_events._broker.snapshot.model import BrokerSnapshot, Kind
    from pyro_events._broker.snapshot.ring import Ring
    from pyro_events._protocol.event import Queued

_BEGIN, _PUBLISH, _CUT, _CLAIMED, _RENUMBER = range(5)
_TARGET: Final = 32
"""Bytes that a target takes at most."""


class Target(Protocol):
    """A subscriber."""

    slot: int


class Source(Protocol):
    """A publisher."""

    slot: int
    last: int | None


class Carried(NamedTuple):
    """What a subscriber has from the incarnation before: as many of its last events there."""

    slot: int
    before: int
    promised: int
    events: int


class AcceptedEvents:
    """Writes what is accepted, from `begin` or `go_on` on. For the loop's thread only."""

    def __init__(self, ring: Ring, counter_file: CounterFile) -> None:
        self._ring = ring
        self._most = ring.size // 2
        self._pack = msgpack.Packer().pack
        self._counter_file = counter_file
        self._promised = counter_file.values

    def begin(
        self, incarnation: str, past: BrokerSnapshot, slots: Mapping[tuple[Kind, str], int]
    ) -> None:
        """Continue as another incarnation, with its slots of subscribers, by kind and key."""
        carried = [
            Carried(slots[each.kind, each.key], each.slot, each.promised, each.kept)
            for each in past.subscribers
            if (each.kind, each.key) in slots
        ]
        self._append(_BEGIN, incarnation, past.incarnation, carried)
        self.go_on()

    def go_on(self) -> None:
        """Continue as the same incarnation, in another process."""
        self._counter_file.on_claim = self._claimed

    def publish(
        self,
        source: Source | None,
        runs: Sequence[tuple[Sequence[Queued], int, Sequence[tuple[Target, int]]]],
    ) -> None:
        """Write one publish: events, their size, and who gets them how often."""
        promised = self._promised
        total, written = 0, []
        for items, size, found in runs:
            total += size + _TARGET * len(found)
            targets = [(slot := each.slot, copies, promised[slot]) for each, copies in found]
            written.append((targets, items))
        if total <= self._most:
            number = (None, 0) if source is None else (source.slot, source.last or 0)
            self._append(_PUBLISH, *number, written)
            return
        for slot in {each.slot for _, _, found in runs for each, _ in found}:
            self.cut(slot)

    def cut(self, slot: int) -> None:
        """Keep for that subscriber only what comes from now on."""
        self._append(_CUT, slot, self._promised[slot])

    def _claimed(self, slot: int) -> None:
        """Record that a slot has a new owner."""
        self._append(_CLAIMED, slot, self._promised[slot])

    def renumbered(self, slot: int) -> None:
        """Record that a subscriber's numbers have changed."""
        self._append(_RENUMBER, slot, self._promised[slot])

    def _append(self, *record: object) -> None:
        self._ring.append(self._pack(record))


@dataclass(slots=True)
class KeptEvents:
    """What there was when one incarnation ended; the keys are its slots."""

    promised: dict[int, int] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    """The last number of each publisher."""
    events: dict[int, list[tuple[Queued, int]]] = field(default_factory=dict)
    """The last events for each subscriber, and how often it gets each."""

    def last(self, slot: int, count: int) -> list[tuple[Queued, int]]:
        """Return no more entries than it takes for the last `count` events of a subscriber."""
        found = self.events.get(slot, [])
        at = len(found)
        while at and count > 0:
            at -= 1
            item, copies = found[at]
            count -= count_of(item) * copies
        return found[at:]

    def apply(self, kind: int, values: Sequence[Any]) -> None:
        """Apply a record, but for `begin`; raises TypeError or ValueError."""
        if kind == _PUBLISH:
            source, number, runs = values
            if source is not None:
                self.numbers[source] = number
            for targets, items in runs:
                entries = [tuple(item) for item in items]
                for slot, copies, promised in targets:
                    self.promised[slot] = promised
                    self.events.setdefault(slot, []).extend((each, copies) for each in entries)
            return
        slot, self.promised[slot] = values
        if kind in (_CUT, _CLAIMED):
            self.events[slot] = []
        if kind == _CLAIMED:
            self.numbers.pop(slot, None)

    def carried(self, them: Iterable[Carried]) -> KeptEvents:
        """Return what the next incarnation begins with."""
        kept = KeptEvents()
        for slot, before, promised, events in them:
            kept.promised[slot] = promised
            kept.events[slot] = self.last(before, events)
        return kept


def replay(records: Sequence[bytes], incarnation: str) -> KeptEvents:
    """Return what there was when the incarnation ended; raises UnreadableSnapshot.

    It may be that nothing else has ended since, or the start of others that never served.
    """
    now = KeptEvents()
    known: dict[str | None, KeptEvents] = {None: now}
    try:
        for record in records:
            kind, *values = msgpack.unpackb(record)
            if kind == _BEGIN:
                name, past, carried = values
                first = known.pop(None, None)
                if first is not None:
                    known[past] = first  # the oldest records have no beginning any more
                before = known.get(past, KeptEvents())
                known[name] = now = before.carried(Carried(*each) for each in carried)
            else:
                now.apply(kind, values)
    except (TypeError, ValueError, KeyError, msgpack.UnpackException) as error:
        raise UnreadableSnapshot(f"an invalid record: {error!r}") from None
    return known.get(incarnation) or known.get(None) or KeptEvents()
