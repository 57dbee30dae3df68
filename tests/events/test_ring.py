"""The ring of accepted events: what is written, whole or not, and what it adds up to. Pure."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_events._broker.delivery.items import singles
from pyro_events._broker.principal import Principal
from pyro_events._broker.recovery.roster_store import cut_off
from pyro_events._broker.snapshot import ring as rings
from pyro_events._broker.snapshot.accepted import AcceptedEvents, KeptEvents, replay
from pyro_events._broker.snapshot.counters import SLOT, CounterFile
from pyro_events._broker.snapshot.model import (
    BrokerSnapshot,
    SubscriberSnapshot,
    UnreadableSnapshot,
)
from pyro_events._broker.snapshot.ring import HEADER, Ring, read
from pyroctl.manager.process.ring import HeldRing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OWNER = Principal("user", "1000")


@pytest.fixture(autouse=True)
def _nothing_open() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    yield
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same


def made(size: int) -> Ring:
    held = HeldRing.make(size)
    ring = Ring(os.dup(held.fileno()))
    held.close()
    assert ring.size == size
    return ring


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(8, 120))
def test_the_newest_records_are_there(records: list[bytes], size: int) -> None:
    """Those are as many as have room; a larger one is refused, and changes nothing."""
    ring = made(size)
    written = [each for each in records if ring.append(each)]
    assert written == [each for each in records if len(each) + 4 <= size]
    found = ring.records()
    ring.close()
    assert found == written[len(written) - len(found) :]
    rest = written[: len(written) - len(found)]
    if rest:
        assert sum(len(each) + 4 for each in [rest[-1], *found]) > size


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=12), st.integers(40, 90))
def test_a_kill_at_any_byte_leaves_no_torn_record(records: list[bytes], size: int) -> None:
    """What is found then is what was whole before, less the oldest, or the new one as well."""
    ring = made(size)
    for count, record in enumerate(records):
        before = bytes(ring._view)
        start = ring._words[rings._TAIL]
        assert ring.append(record)
        after = bytes(ring._view)
        image = bytearray(before)
        limit = slice(8 * rings._LIMIT, 8 * rings._LIMIT + 8)
        image[limit] = after[limit]
        for at in range(start, start + len(record) + 4):
            image[HEADER + at % size] = after[HEADER + at % size]
            found = read(bytes(image))
            assert found == records[count - len(found) : count]
        assert read(after)[-1] == record
    ring.close()


def test_other_bytes_are_no_ring() -> None:
    """Memory that is empty, or has something else in it, has no records."""
    assert read(bytes(HEADER + 10)) == read(b"x" * (HEADER + 10)) == []
    with pytest.raises(UnreadableSnapshot):
        replay([b"\xc1"], "one")
    with pytest.raises(UnreadableSnapshot):
        replay([b"\x93\x02\x01\xa1x", b"\x92\x63\x01"], "one")


# What the records add up to


@dataclass
class Reader:
    """A subscriber, and what it would get."""

    slot: int
    promised: int = 0
    acked: int = 0
    waiting: list[int] = field(default_factory=list)
    whole: int = 0
    """How many of the last of these are sure to be kept."""


class World:
    """Processes one after the other, with subscribers and a publisher, and their ring."""

    def __init__(self, size: int) -> None:
        self.ring = made(size)
        self.incarnation = 0
        self.readers: list[Reader] = []
        self.count = self.number = 0
        self.begin(BrokerSnapshot("", ""), [])

    def begin(self, past: BrokerSnapshot, keys: Sequence[str]) -> None:
        self.file = CounterFile.in_memory(100)
        self.incarnation += 1
        for _ in range(self.incarnation % 3):
            self.file.claim()  # so that slots change their meaning
        slots: dict[tuple[Any, str], int] = {}
        for each, key in zip(past.subscribers, keys, strict=True):
            slot = self.file.claim()
            values = each.promised, each.accounted, each.acked
            self.file.values[slot : slot + SLOT] = memoryview(bytes(24)).cast("Q")
            for word, value in enumerate(values):
                self.file.values[slot + word] = value
            slots["stream", key] = slot
            self.readers[int(key)].slot = slot
        self.publisher = self.file.claim()
        self.accepted = AcceptedEvents(self.ring, self.file)
        self.accepted.begin(str(self.incarnation), past, slots)

    def join(self) -> None:
        self.readers.append(Reader(self.file.claim()))

    def publish(self, whom: Sequence[int], *, run: int, copies: int) -> None:
        numbers = list(range(self.count, self.count + run))
        self.count += run
        self.number += run
        bodies = [bytes([0xCE]) + each.to_bytes(4, "big") for each in numbers]
        item: Any = ("s", 1.0, b"".join(bodies), False, run)
        items: list[Any] = [item] if run > 1 else [("s", 1.0, bodies[0], False)]
        targets = []
        for reader in {each % len(self.readers): None for each in whom} if self.readers else ():
            found = self.readers[reader]
            got = [each for each in numbers for _ in range(copies)]
            self.file.values[found.slot] += len(got)
            found.promised += len(got)
            found.waiting += got
            found.whole += len(got)
            targets.append((found, copies))

        class Publisher:
            slot, last = self.publisher, self.number

        self.accepted.publish(Publisher, [(items, 0, targets)])  # type: ignore[arg-type]

    def acknowledge(self, which: int, count: int) -> None:
        reader = self.readers[which % len(self.readers)]
        count = min(count, len(reader.waiting))
        reader.acked += count
        del reader.waiting[:count]
        reader.whole = min(reader.whole, len(reader.waiting))
        self.file.values[reader.slot + 2] = reader.acked

    def drop(self, which: int) -> None:
        reader = self.readers[which % len(self.readers)]
        reader.whole = 0
        self.accepted.cut(reader.slot)

    def replace(self, which: int) -> None:
        old = self.readers[which % len(self.readers)]
        self.file.release(old.slot)
        self.readers[self.readers.index(old)] = Reader(self.file.claim())

    def kill(self, *, exact: bool) -> None:
        incarnation = str(self.incarnation)
        kept = replay(self.ring.records(), incarnation)
        if exact:
            assert kept.numbers.get(self.publisher, 0) == (self.number or 0)
        saved = []
        for key, reader in enumerate(self.readers):
            numbers = list(self.file.values[reader.slot : reader.slot + SLOT])
            before = SubscriberSnapshot(
                "stream", str(key), "", True, [], [], {}, OWNER, slot=reader.slot
            )
            found = cut_off(before, incarnation, numbers, kept)
            sent = [int.from_bytes(body[1:], "big") for _, _, body, _ in singles(found.sent)]
            assert sent == reader.waiting[len(reader.waiting) - len(sent) :]
            assert found.acked == found.lost == reader.promised - len(sent)
            if exact:
                assert len(sent) == reader.whole
            reader.acked, reader.waiting, reader.whole = found.acked, sent, len(sent)
            saved.append(found)
        self.number = 0
        self.begin(BrokerSnapshot(incarnation, "crash", saved), [each.key for each in saved])


steps = st.lists(
    st.one_of(
        st.tuples(st.just("join")),
        st.tuples(
            st.just("publish"),
            st.lists(st.integers(0, 3), max_size=3), st.integers(1, 9), st.integers(1, 2),
        ),
        st.tuples(st.just("acknowledge"), st.integers(0, 3), st.integers(1, 9)),
        st.tuples(st.sampled_from(["drop", "replace"]), st.integers(0, 3)),
        st.tuples(st.just("kill")),
    ),
    max_size=30,
)  # fmt: skip


@given(steps, st.sampled_from([1 << 16, 700]))
def test_what_is_kept_is_what_waits(sequence: list[tuple[Any, ...]], size: int) -> None:
    """Of each subscriber that is the last of its events, all since a drop if the ring has room."""
    world = World(size)
    for what, *values in [("join",), *sequence, ("kill",)]:
        if what == "publish":
            whom, run, copies = values
            world.publish(whom, run=run, copies=copies)
        elif what == "kill":
            world.kill(exact=size > 700)
        else:
            getattr(world, what)(*values)
    world.ring.close()


def test_a_start_that_never_served_changes_nothing() -> None:
    """The process after it continues with what the one before it has left."""
    world = World(10_000)
    world.join()
    world.publish([0], run=3, copies=1)
    old = world.readers[0].slot
    AcceptedEvents(world.ring, CounterFile.in_memory(9)).begin("x", BrokerSnapshot("1", ""), {})
    kept = replay(world.ring.records(), "1")
    assert [item[-1] for item, _ in kept.events[old]] == [3]
    assert replay(world.ring.records(), "x") == KeptEvents()
    world.ring.close()


def test_a_batch_that_is_too_large_is_not_kept() -> None:
    """Nor is what its subscribers had before it; other subscribers keep theirs."""
    world = World(1000)
    world.join()
    world.join()
    world.publish([0, 1], run=1, copies=1)
    first, second = world.readers
    world.accepted.publish(None, [([("s", 1.0, b"", False)], 600, [(first, 1)])])
    kept = replay(world.ring.records(), "1")
    assert (len(kept.events[first.slot]), len(kept.events[second.slot])) == (0, 1)
    world.ring.close()


def test_a_callback_never_gets_a_number_twice() -> None:
    """Those of events that aren't kept may have arrived: what is kept has higher ones."""
    saved = SubscriberSnapshot(
        "callback", "k", "n", True, [], [], {}, OWNER, series=b"12345678", slot=4
    )
    event: Any = ("s", 1.0, b"\x01", False)
    kept = KeptEvents({4: 20}, {}, {4: [(event, 1)] * 3})
    found = cut_off(saved, "one", [19, 2, 10], kept)
    missing = 20 - 2 - 10 - 3
    assert (found.acked, len(found.sent), found.accounted) == (10 + missing, 3, 2)
    assert found.promised - found.accounted - found.acked - len(found.sent) == missing
