"""The mailbox keeps its bounds and its order under every policy, and counts every loss."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_events._broker.delivery.mailbox import Mailbox, SharedRoom

if TYPE_CHECKING:
    from pyro_events.types import WhenFull

POLICIES: tuple[WhenFull, ...] = ("drop-oldest", "drop-newest", "disconnect")

sizes_of_runs = st.lists(st.integers(0, 60), min_size=1, max_size=12)
offers = st.tuples(st.just("offer"), sizes_of_runs)
takes = st.tuples(st.just("take"), st.integers(1, 6))
settlements = st.tuples(st.just("settle"), st.none())
steps = st.lists(offers | takes | settlements, max_size=60)


def publish(box: Mailbox[int], policy: WhenFull, items: list[int], sizes: list[int]) -> None:
    """Offer items as an impatient publisher does."""
    taken = box.offer(items, sizes)
    if taken < len(items):
        box.overflow(items[taken:], sizes[taken:], policy)


def fill(box: Mailbox[str], *items: str, size: int = 1) -> int:
    return box.offer(items, [size] * len(items))


@given(st.sampled_from(POLICIES), st.integers(1, 9), st.integers(1, 200), steps)
def test_no_item_is_lost_uncounted(
    policy: WhenFull, limit: int, max_bytes: int, moves: list[tuple[str, object]]
) -> None:
    """Every item waits, was taken in order, or was counted as dropped; the limits hold.

    They hold for what waits and what is on its way together, but for one item in each.
    """
    shared = SharedRoom(10**6)
    box: Mailbox[int] = Mailbox(limit, max_bytes, shared)
    sizes: dict[int, int] = {}
    taken: list[int] = []
    flights: list[list[int]] = []
    for move, value in moves:
        if move == "offer":
            assert isinstance(value, list)
            items = list(range(len(sizes), len(sizes) + len(value)))
            sizes |= zip(items, value, strict=True)
            publish(box, policy, items, value)
        elif move == "take":
            assert isinstance(value, int)
            flights.append(box.take(value, 50, lambda item: item // 7))
            taken += flights[-1]
        elif flights:
            flight = flights.pop(0)
            box.settle(len(flight), sum(map(sizes.__getitem__, flight)))
        largest = max(sizes.values(), default=0)
        assert len(box) + box.away <= max(limit, 2)
        assert box.away <= max(1, limit // 2)
        assert box.bytes + box.away_bytes < max_bytes + 2 * largest + 1
        assert shared.used == box.bytes + box.away_bytes
    everything = taken + list(box)
    assert len(sizes) == len(everything) + box.dropped
    assert everything == sorted(everything)
    assert len(box) == len(box.sizes())
    assert box.bytes == sum(map(sizes.__getitem__, box))
    box.clear()
    assert (len(box), box.bytes, shared.used) == (0, 0, 0)


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 10), st.integers(1, 60))
def test_take_keeps_both_limits(sizes: list[int], events: int, room: int) -> None:
    """A take returns at least one waiting item, and no more than fit."""
    box: Mailbox[int] = Mailbox(1000, 10**6)
    assert box.offer(sizes, sizes) == len(sizes)
    seen: list[int] = []
    while len(box):
        batch = box.take(events, room)
        assert 1 <= len(batch) <= events
        assert len(batch) == 1 or sum(batch) <= room
        assert box.bytes == sum(sizes[len(seen) + len(batch) :])
        seen += batch
    assert (seen, box.away, box.away_bytes) == (sizes, len(sizes), sum(sizes))


def test_what_is_on_its_way_takes_room() -> None:
    """Half of the room is for that, several batches; it is free again when they are settled."""
    box: Mailbox[str] = Mailbox(20, 1000)
    assert fill(box, *"abcdefghijklmnopqrstuvwxyz") == 20
    batches = [len(box.take(250, 10**6)) for _ in range(6)]
    assert batches == [5, 3, 1, 1, 0, 0]
    assert fill(box, "more") == 0
    box.settle(5, 5)
    assert fill(box, "1", "2", "3", "4", "5", "6") == 5
    assert len(box.take(250, 10**6)) == 3


def test_a_queue_of_one_is_the_latest_only() -> None:
    """One item is on its way while the newest waits."""
    box: Mailbox[int] = Mailbox(1, 1000)
    publish(box, "drop-oldest", [1], [1])
    assert box.take(250, 10**6) == [1]
    for number in range(2, 10):
        publish(box, "drop-oldest", [number], [1])
        assert box.take(250, 10**6) == []
    box.settle(1, 1)
    assert (box.take(250, 10**6), box.dropped) == ([9], 7)


def test_bytes_on_their_way_count() -> None:
    """Huge items fill a queue whether they wait or not; one of any size gets through."""
    box: Mailbox[str] = Mailbox(100, 100)
    assert fill(box, "a", "b", "c", size=60) == 2
    assert box.take(250, 10) == ["a"]
    assert fill(box, "c", size=60) == 0
    assert box.take(250, 10) == []
    box.settle(1, 60)
    assert fill(box, "c", size=10**9) == 1


@pytest.mark.parametrize(
    ("policy", "kept"), [("drop-oldest", "bcd"), ("drop-newest", "abc"), ("disconnect", "abc")]
)
def test_each_policy(policy: WhenFull, kept: str) -> None:
    """It decides which item is dropped for the first one too many."""
    box: Mailbox[str] = Mailbox(3, 1000)
    assert fill(box, *"abcd") == 3
    box.overflow("d", [1], policy)
    assert ("".join(box), box.dropped) == (kept, 1)


def test_one_huge_item_pushes_out_as_many_old_ones_as_it_must() -> None:
    """drop-oldest counts each of them."""
    box: Mailbox[str] = Mailbox(100, 30)
    assert fill(box, *"abc", size=10) == 3
    box.overflow("d", [25], "drop-oldest")
    box.overflow("e", [1], "drop-oldest")
    assert (list(box), box.dropped) == (["d", "e"], 3)


@pytest.mark.parametrize(("limit", "size"), [(0, 1), (1, 0)])
def test_a_mailbox_without_room_is_refused(limit: int, size: int) -> None:
    """Wrong settings are ValueErrors at once."""
    with pytest.raises(ValueError, match="room"):
        Mailbox(limit, size)


@given(
    st.integers(1, 8),
    st.integers(1, 60),
    st.integers(1, 200),
    st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=6),
    st.integers(1, 5),
    st.sampled_from(POLICIES),
)
def test_many_at_once_are_treated_like_one_by_one(
    limit: int,
    max_bytes: int,
    shared: int,
    runs: list[list[int]],
    events: int,
    policy: WhenFull,
) -> None:
    """As many are accepted as one by one, in order, and the same ones are dropped."""
    together: Mailbox[int] = Mailbox(limit, max_bytes, SharedRoom(shared + 2 * max_bytes))
    single: Mailbox[int] = Mailbox(limit, max_bytes, SharedRoom(shared + 2 * max_bytes))
    for run in runs:
        publish(together, policy, run, run)
        for size in run:
            publish(single, policy, [size], [size])
        assert list(together) == list(single)
        assert together.dropped == single.dropped
        assert together.take(events, 40) == single.take(events, 40)


@given(st.integers(2, 5), st.integers(20, 80))
def test_the_fullest_give_way_first(stuck: int, limit: int) -> None:
    """Queues that nobody empties leave room for one that is emptied."""
    shared = SharedRoom(limit)
    boxes: list[Mailbox[int]] = [Mailbox(10**6, 10**6, shared) for _ in range(stuck)]
    quick: Mailbox[int] = Mailbox(10**6, 10**6, shared)
    for number in range(2 * limit):
        for box in boxes:
            publish(box, "drop-oldest", [number], [1])
        assert quick.offer([number], [1]) == 1
        quick.take(1, 10)
        quick.settle(1, 1)
        assert shared.used <= limit
    used = [box.bytes for box in boxes]
    assert max(used) - min(used) <= 1
    assert sum(used) >= limit * stuck // (stuck + 1) - stuck


def test_a_queue_is_roomy_when_less_than_half_is_used() -> None:
    """What is on its way counts."""
    box: Mailbox[str] = Mailbox(10, 1000)
    fill(box, *"abcdef")
    box.take(3, 1000)
    assert not box.is_roomy()
    box.settle(2, 2)
    assert box.is_roomy()


def test_a_smaller_limit_drops_by_the_policy() -> None:
    """What has room stays; a larger one changes nothing else."""
    box: Mailbox[str] = Mailbox(10, 1000)
    fill(box, *"abcdef")
    box.resize(4, "drop-oldest")
    assert ("".join(box), box.dropped) == ("cdef", 2)
    box.resize(2, "drop-newest")
    assert ("".join(box), box.dropped) == ("cd", 4)
    box.resize(3, "drop-newest")
    assert (fill(box, *"xy"), "".join(box)) == (1, "cdx")


class Thing:
    """Something that can be watched while it dies."""


@given(st.lists(st.integers(1, 5), min_size=1, max_size=9), st.booleans())
def test_what_was_taken_or_dropped_is_not_kept(takes: list[int], drop: bool) -> None:
    """The mailbox holds no reference to what has left it."""
    box: Mailbox[Thing] = Mailbox(12, 1000)
    known: weakref.WeakSet[Thing] = weakref.WeakSet()
    for count in takes:
        for _ in range(12):
            thing = Thing()
            known.add(thing)
            if not box.offer([thing], [1]):
                box.overflow([thing], [1], "drop-oldest")
        del thing
        if not drop:
            taken = len(box.take(count, 1000))
            box.settle(taken, taken)
        assert len(known) == len(box)


def test_a_full_mailbox_names_the_bound_that_was_reached() -> None:
    """By the option that moves it: events, bytes, or the bytes of all."""
    events, size = Mailbox[str](2, 100), Mailbox[str](100, 10)
    shared = Mailbox[str](100, 100, SharedRoom(10))
    for box in (events, size, shared):
        assert fill(box, *"abcdefgh", size=3) < 8
    assert [box.bound() for box in (events, size, shared)] == [
        "queue_size of 2 events",
        "queue_bytes of 10 bytes",
        "max_queued_bytes of 10 bytes for all queues",
    ]


@given(st.integers(1, 999), st.integers(250, 1000))
def test_mailboxes_with_the_same_items_are_cut_into_the_same_batches(ahead: int, run: int) -> None:
    """Wherever one of them has begun, it soon ends its batches where the other one does."""
    ends: list[set[int]] = []
    for first in (0, min(ahead, run - 1)):
        box: Mailbox[int] = Mailbox(10**6, 10**6)
        numbers = list(range(first, 20 * run))
        box.load(numbers, [1] * len(numbers))
        ends.append(set())
        while taken := box.take(250, 10**6, lambda number: number // run):
            assert len(taken) <= 250
            ends[-1].add(taken[-1])
            box.settle(len(taken), len(taken))
    late = 5 * run
    assert {end for end in ends[0] if end > late} == {end for end in ends[1] if end > late}
