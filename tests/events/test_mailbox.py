"""The mailbox keeps its bounds and its order under every policy, and counts every loss."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_events._broker.delivery.mailbox import Mailbox, Verdict

if TYPE_CHECKING:
    from pyro_events.types import WhenFull

POLICIES: tuple[WhenFull, ...] = ("block", "drop-oldest", "drop-newest", "disconnect")
TAKEN = (Verdict.ACCEPTED, Verdict.DROPPED_OLDEST)

offers = st.tuples(st.just("offer"), st.integers(0, 60))
takes = st.tuples(st.just("take"), st.integers(1, 4))
steps = st.lists(offers | takes, max_size=80)


@given(st.sampled_from(POLICIES), st.integers(1, 6), st.integers(1, 100), steps)
def test_no_item_is_lost_uncounted(
    policy: WhenFull, limit: int, max_bytes: int, moves: list[tuple[str, int]]
) -> None:
    """Every item is waiting, was taken in order, was counted as dropped or was refused as FULL."""
    box: Mailbox[int] = Mailbox(limit, max_bytes, policy)
    accepted: list[int] = []
    taken: list[int] = []
    sizes: dict[int, int] = {}
    full = 0
    for number, (move, value) in enumerate(moves):
        if move == "take":
            taken += box.take(value, 50)
            continue
        sizes[number] = value
        had_room = box.room()
        verdict = box.offer(number, value)
        full += verdict is Verdict.FULL
        if verdict in TAKEN:
            accepted.append(number)
        assert (verdict is Verdict.ACCEPTED) == had_room
        assert len(box) <= limit
        assert box.bytes < max_bytes + max(1, *sizes.values(), 0)
    rest = box.take(10**6, 10**9)
    assert box.bytes == 0
    assert len(box) == 0
    assert len(sizes) == len(taken) + len(rest) + box.dropped + full
    delivered = taken + rest
    assert delivered == [item for item in accepted if item in set(delivered)]
    if policy != "drop-oldest":
        assert delivered == accepted


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 10), st.integers(1, 60))
def test_take_keeps_both_limits(sizes: list[int], events: int, room: int) -> None:
    """A take returns at least one waiting item, and no more than fit."""
    box: Mailbox[int] = Mailbox(1000, 10**6, "block")
    for size in sizes:
        box.offer(size, size)
    seen: list[int] = []
    while len(box):
        batch = box.take(events, room)
        assert 1 <= len(batch) <= events
        assert len(batch) == 1 or sum(batch) <= room
        assert box.bytes == sum(sizes[len(seen) + len(batch) :])
        seen += batch
    assert seen == sizes


def test_each_policy_has_its_verdict() -> None:
    """The verdict on the first item too many is the policy's."""
    verdicts = {}
    for policy in POLICIES:
        box: Mailbox[str] = Mailbox(1, 1000, policy)
        assert box.offer("old", 1) is Verdict.ACCEPTED
        verdicts[policy] = (box.offer("new", 1), box.dropped, box.take(9, 999))
    assert verdicts == {
        "block": (Verdict.FULL, 0, ["old"]),
        "drop-oldest": (Verdict.DROPPED_OLDEST, 1, ["new"]),
        "drop-newest": (Verdict.DROPPED_NEWEST, 1, ["old"]),
        "disconnect": (Verdict.DISCONNECT, 1, ["old"]),
    }


def test_room_and_offer_agree_so_that_no_publisher_spins() -> None:
    """After room() is True the next offer is taken, whatever its size."""
    box: Mailbox[str] = Mailbox(10, 100, "block")
    box.offer("a", 99)
    assert box.room()
    assert box.offer("huge", 10**9) is Verdict.ACCEPTED
    assert box.offer("b", 1) is Verdict.FULL


def test_a_blocked_item_that_is_given_up_is_counted() -> None:
    """The publisher's time-out has passed; the loss is counted."""
    box: Mailbox[str] = Mailbox(1, 100, "block")
    box.offer("a", 1)
    box.offer("b", 1)
    box.force_drop()
    assert box.dropped == 1


def test_one_huge_item_pushes_out_as_many_old_ones_as_it_must() -> None:
    """drop-oldest counts each of them."""
    box: Mailbox[str] = Mailbox(100, 30, "drop-oldest")
    for item in "abc":
        box.offer(item, 10)
    box.offer("d", 25)
    assert box.offer("e", 1) is Verdict.DROPPED_OLDEST
    assert (box.take(9, 999), box.dropped) == (["d", "e"], 3)


@pytest.mark.parametrize(
    ("limit", "size", "policy"), [(0, 1, "block"), (1, 0, "block"), (1, 1, "drop")]
)
def test_a_mailbox_without_room_or_policy_is_refused(limit: int, size: int, policy: str) -> None:
    """Wrong settings are ValueErrors at once."""
    with pytest.raises(ValueError, match=r"room|when_full"):
        Mailbox(limit, size, policy)  # type: ignore[arg-type] # the point of the test


@given(
    st.integers(1, 8),
    st.integers(1, 60),
    st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=6),
    st.integers(1, 5),
)
def test_many_at_once_are_taken_like_one_by_one(
    limit: int, max_bytes: int, runs: list[list[int]], events: int
) -> None:
    """As many are accepted as one by one, in order, and nothing is lost or dropped."""
    together: Mailbox[int] = Mailbox(limit, max_bytes, "block")
    single: Mailbox[int] = Mailbox(limit, max_bytes, "block")
    for run in runs:
        count = together.offer_many(run, run)
        verdicts = [single.offer(size, size) for size in run]
        assert verdicts == [Verdict.ACCEPTED] * count + [Verdict.FULL] * (len(run) - count)
        assert (len(together), together.bytes) == (len(single), single.bytes)
        assert together.take(events, 40) == single.take(events, 40)
    assert together.take(999, 10**6) == single.take(999, 10**6)
    assert together.bytes == together.dropped == 0


class Thing:
    """Something that can be watched while it dies."""


@given(st.lists(st.integers(1, 5), min_size=1, max_size=9), st.booleans())
def test_what_was_taken_or_dropped_is_not_kept(takes: list[int], drop: bool) -> None:
    """The mailbox holds no reference to what has left it."""
    box: Mailbox[Thing] = Mailbox(12, 1000, "drop-oldest")
    known: weakref.WeakSet[Thing] = weakref.WeakSet()
    for count in takes:
        for _ in range(12):
            thing = Thing()
            known.add(thing)
            box.offer(thing, 1)
        del thing
        if not drop:
            box.take(count, 1000)
        assert len(known) == len(box)
