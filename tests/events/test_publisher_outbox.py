"""The outbox against a reference, and the delays between attempts to connect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pyro_events._client import outbox as module
from pyro_events._client.outbox import Batch, Entry, Outbox, size_of
from pyro_wire.backoff import FIRST, LAST, SETTLED, Backoff

if TYPE_CHECKING:
    import pytest


def unsent(outbox: Outbox) -> int:
    """Return how many events weren't sent on the current connection."""
    entries = outbox._entries[outbox._sent - outbox._settled :]
    return len(entries) - entries.count(None)


class OutboxAgainstReference(RuleBasedStateMachine):
    """The reference: every event by its number, and its fate."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(20, 3000)
        self.open: dict[int, Entry] = {}
        self.withdrawn: set[int] = set()
        self.flight: list[Batch] = []
        self.number = 0

    @precondition(lambda self: self.outbox.has_room())
    @rule(size=st.integers(0, 400), subjects=st.integers(1, 3))
    def add(self, size: int, subjects: int) -> None:
        self.number += 1
        entry: Entry = (["s"] * subjects, bytes(size), False)
        assert self.outbox.add(entry) == self.number
        self.open[self.number] = entry

    @rule(size=st.integers(0, 256), count=st.integers(1, 9))
    def add_on_credit(self, size: int, count: int) -> None:
        """Whatever the credit, there is room for it, and what is added does not become due."""
        self.outbox.grant()
        for _ in range(min(count, self.outbox.credit)):
            assert self.outbox.has_room()
            self.number += 1
            entry: Entry = (["s"], bytes(size), False)
            self.outbox.spend(entry)
            self.open[self.number] = entry
            assert not self.outbox.due()

    def waiting(self) -> list[int]:
        in_flight = {n for batch in self.flight for n in range(batch.first, batch.last + 1)}
        return sorted(self.open.keys() - in_flight)

    @rule()
    def send(self) -> None:
        waiting = self.waiting()
        batch = self.outbox.next_batch()
        if batch is None:
            assert len(self.flight) == module.WINDOW or not waiting
            return
        assert len(self.flight) < module.WINDOW
        assert batch.entries
        for number, entry in enumerate(batch.entries, batch.first):
            assert number == waiting.pop(0)
            assert self.open[number] is entry
        self.flight.append(batch)

    @precondition(lambda self: self.flight)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, len(self.flight)))
        done, self.flight = self.flight[:count], self.flight[count:]
        before = self.outbox.acknowledged
        self.outbox.acknowledge(done[-1].last)
        assert self.outbox.acknowledged - before == sum(len(b.entries) for b in done)
        for batch in done:
            self.settle(batch)

    @precondition(lambda self: self.flight)
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        batch = self.flight.pop(data.draw(st.integers(0, len(self.flight) - 1)))
        refused = self.outbox.reject(batch.first)
        assert refused is not None
        assert (refused.first, refused.entries) == (batch.first, batch.entries)
        assert self.outbox.reject(batch.first) is None
        self.settle(batch)

    def settle(self, batch: Batch) -> None:
        for number in range(batch.first, batch.last + 1):
            if number not in self.withdrawn:
                del self.open[number]
            self.withdrawn.discard(number)

    @rule()
    def rewind(self) -> None:
        in_flight = sum(len(batch.entries) for batch in self.flight)
        assert self.outbox.rewind() == in_flight - len(self.withdrawn)
        self.flight.clear()
        self.withdrawn.clear()

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        self.outbox.withdraw(number)
        if number not in self.waiting():
            self.withdrawn.add(number)
        del self.open[number]

    @invariant()
    def the_books_are_right(self) -> None:
        assert self.outbox.last == self.number
        assert self.outbox.bytes == sum(size_of(entry) for entry in self.open.values())
        assert len(self.outbox) == len(self.open)
        assert unsent(self.outbox) == len(self.waiting())
        first = min([*self.open, *(batch.first for batch in self.flight), self.number + 1])
        for number in range(self.number + 1):
            assert self.outbox.settled(number) == (number < first)
        assert self.outbox.has_room() == (len(self.open) < 20 and self.outbox.bytes < 3000)


TestOutboxAgainstReference = OutboxAgainstReference.TestCase
TestOutboxAgainstReference.settings = settings(max_examples=50, deadline=None)


def test_batches_are_bounded_and_one_large_event_still_travels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch closes before it exceeds its bytes, unless a lone event does."""
    monkeypatch.setattr(module, "BATCH_BYTES", 1000)
    outbox = Outbox(100, 10**9)
    for size in (300, 300, 300, 5000, 10):
        outbox.add((["s"], bytes(size), False))
    sizes = []
    while batch := outbox.next_batch():
        sizes.append([len(entry[1]) for entry in batch.entries])
    assert sizes == [[300, 300], [300], [5000], [10]]


def test_a_withdrawn_event_is_not_sent_again() -> None:
    """It may have arrived; sending it later would be a surprise."""
    outbox = Outbox(100, 10**9)
    entries: list[Entry] = [(["s"], bytes([n]), False) for n in range(3)]
    for entry in entries:
        outbox.add(entry)
    assert outbox.next_batch() == Batch(1, entries, outbox.bytes)
    outbox.withdraw(2)
    outbox.rewind()
    first, second = outbox.next_batch(), outbox.next_batch()
    assert first is not None
    assert second is not None
    assert (first.first, first.entries) == (1, [entries[0]])
    assert (second.first, second.entries) == (3, [entries[2]])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_delays_double_up_to_a_limit(chances: list[float]) -> None:
    """Each is between half and all of the doubled delay."""
    chance = iter(chances)
    backoff = Backoff(lambda: next(chance))
    for attempt in range(len(chances)):
        full = min(FIRST * 2**attempt, LAST)
        assert full / 2 <= backoff.next() <= full


def test_a_connection_that_lived_makes_delays_short_again() -> None:
    """A connection that broke at once does not."""
    backoff = Backoff(lambda: 1.0)
    for _ in range(10):
        backoff.next()
    assert backoff.next(lived=SETTLED / 2) == LAST
    assert backoff.next(lived=SETTLED) == FIRST
    assert backoff.next() == FIRST * 2


def test_what_was_withdrawn_makes_room() -> None:
    """This holds even if events before it still wait, so that its number isn't used again."""
    outbox = Outbox(3, 10**6)
    for _ in range(3):
        outbox.add((["s"], b"", False))
    outbox.withdraw(2)
    assert (len(outbox), unsent(outbox), outbox.has_room()) == (2, 2, True)
    outbox.add((["s"], b"", False))
    batches = [outbox.next_batch(), outbox.next_batch()]
    assert [(b.first, len(b.entries)) for b in batches if b] == [(1, 1), (3, 2)]


def test_a_lone_event_is_due_and_a_few_more_wait_for_its_arrival() -> None:
    """Once they are many they are due, too, whatever the time."""
    outbox = Outbox(10**6, 10**9)
    entry: Entry = (["s"], b"", False)
    outbox.add(entry)
    assert outbox.due()
    outbox.next_batch()
    outbox.add(entry)
    assert not outbox.due()
    outbox.acknowledge(1)
    assert outbox.due()
    outbox.next_batch()
    for _ in range(module.SEND_AT):
        assert not outbox.due()
        outbox.add(entry)
    assert outbox.due()
