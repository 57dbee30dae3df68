"""What costly patterns cost, with a clock that only they move: each match takes what it says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_events._broker.match_budget import (
    BUDGET,
    FREE,
    NEW,
    NEW_BUDGET,
    OWNER_LIMIT,
    PATTERN_LIMIT,
    REFILL,
    REMEMBERED,
    Charges,
    MatchTime,
)
from pyro_events._broker.router import PatternNotice, Router
from pyro_events._protocol.patterns import MATCH_TIMEOUT, Pattern, PatternTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

CUT_OFFS = math.ceil(PATTERN_LIMIT / MATCH_TIMEOUT)


class Clock:
    """Processor time; real time is the same."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Costly(Pattern):
    """A pattern that matches everything, in `cost` seconds, and is cut off after MATCH_TIMEOUT."""

    __slots__ = ("calls", "clock", "cost")

    def __init__(self, clock: Clock, text: str, cost: float) -> None:
        super().__init__(f"(a|aa)*(?#{text})")
        assert not self.quick
        self.clock, self.cost = clock, cost
        self.calls = 0

    def match(self, subject: str) -> bool:
        self.calls += 1
        self.clock.now += min(self.cost, MATCH_TIMEOUT)
        if self.cost >= MATCH_TIMEOUT:
            raise PatternTimeout(self.text, subject)
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def router(clock: Clock) -> Router[str]:
    return Router(clock, clock)


@pytest.fixture
def costly(clock: Clock) -> Callable[..., Costly]:
    return lambda text, cost=1.0: Costly(clock, text, cost)


def test_three_cut_offs_suspend_a_pattern_and_its_subscribers_are_told(
    router: Router[str], costly: Callable[..., Costly]
) -> None:
    """They hear of the first one, and of the suspension; others are not affected."""
    slow = costly("slow")
    for key in ("ann", "bob"):
        router.subscribe_match(key, [slow])
    router.subscribe("eve", ["x"])
    told = []
    for _ in range(CUT_OFFS):
        assert router.targets("x") == (("eve", 1),)
        told += router.take_notices()
    assert sorted(told) == [
        PatternNotice(key, slow.text, suspended)
        for key in ("ann", "bob")
        for suspended in (False, True)
    ]
    assert router.targets("x") == (("eve", 1),)
    assert slow.calls == CUT_OFFS
    assert router.suspended("ann") == [slow.text]
    assert router.subscriptions("ann") == ([], [slow.text])
    assert router.unmatched("ann") == {slow.text: CUT_OFFS}


def test_a_suspension_outlives_the_subscription(
    router: Router[str], clock: Clock, costly: Callable[..., Costly]
) -> None:
    """Whoever subscribes to the text later is told at once; so it is in the next process."""
    slow = costly("slow")
    router.subscribe_match("ann", [slow])
    for _ in range(CUT_OFFS):
        router.targets("x")
    router.remove("ann")
    assert router.take_notices() == []
    other: Router[str] = Router(clock, clock)
    other.restore_charges(router.charges())
    for each in (router, other):
        each.subscribe_match("bob", [slow])
        each.subscribe_match("bob", [slow])
        assert each.take_notices() == [PatternNotice("bob", slow.text, suspended=True)]
        assert each.targets("y") == ()
        assert each.suspended("bob") == [slow.text]


def test_a_thousand_evil_patterns_cost_one_budget(
    router: Router[str], clock: Clock, costly: Callable[..., Costly]
) -> None:
    """Their subscriber is found out by the first ones; what is simple still works for it."""
    evil = [costly(str(number)) for number in range(1000)]
    router.subscribe_match("eve", [*evil, Pattern("x")])
    spent = []
    for number in range(30):
        began = clock.now
        router.targets(f"x{number}")
        spent.append(clock.now - began)
        clock.now += 1
    assert max(spent) <= BUDGET + MATCH_TIMEOUT
    assert sum(spent) <= OWNER_LIMIT + MATCH_TIMEOUT
    assert len(router.suspended("eve")) == 1000
    assert router.targets("x") == (("eve", 1),)
    suspended = [notice.pattern for notice in router.take_notices() if notice.suspended]
    assert sorted(suspended) == sorted(each.text for each in evil)
    router.subscribe_match("eve", [costly("new", 0.0), Pattern("y")])
    assert [each.suspended for each in router.take_notices()] == [True]
    assert router.targets("yx") == (("eve", 1),)


def test_an_evil_subscriber_hurts_only_itself(
    router: Router[str], costly: Callable[..., Costly]
) -> None:
    """A pattern of another, which never was tried, has its turn after the first cut-off."""
    router.subscribe_match("eve", [costly(str(number)) for number in range(1000)])
    router.subscribe_match("ann", [costly("good", FREE / 2)])
    for number in range(30):
        assert router.targets(f"x{number}") == (("ann", 1),)
    assert router.unmatched("ann") == {}


def test_matches_just_below_the_cut_off_are_found_out_too(
    router: Router[str], clock: Clock, costly: Callable[..., Costly]
) -> None:
    """A subscriber that takes the budget is charged, and one that takes little of it is not."""
    for eve in range(20):
        texts = [costly(f"{eve}-{number}", MATCH_TIMEOUT / 2) for number in range(50)]
        router.subscribe_match(f"eve{eve}", texts)
    router.subscribe_match("ann", [costly("good", 2 * FREE)])
    began, spent = clock.now, 0.0
    for number in range(200):
        before = clock.now
        router.targets(f"x{number}")
        spent = max(spent, clock.now - before)
        clock.now += 0.1
    assert spent <= BUDGET + MATCH_TIMEOUT
    assert all(len(router.suspended(f"eve{eve}")) == 50 for eve in range(20))
    assert router.suspended("ann") == []
    assert router.targets("last") == (("ann", 1),)
    assert clock.now - began < 200 * 0.1 + 20 * (OWNER_LIMIT + 2 * BUDGET)


def test_new_subscribers_share_the_old_budget(
    router: Router[str], clock: Clock, costly: Callable[..., Costly]
) -> None:
    """Whoever comes with new patterns for each publish takes no more than a part of the time."""
    router.subscribe_match("ann", [costly("good", FREE / 2)])
    assert router.targets("first") == (("ann", 1),)
    began, spent = clock.now, 0.0
    for number in range(200):
        router.subscribe_match(f"eve{number}", [costly(f"{number}-{n}") for n in range(20)])
        before = clock.now
        assert router.targets(f"x{number}") == (("ann", 1),)
        spent += clock.now - before
        router.remove(f"eve{number}")
    assert spent <= BUDGET + REFILL * (clock.now - began) + MATCH_TIMEOUT + 200 * FREE


def test_a_subscriber_that_comes_back_is_known_by_its_name(
    clock: Clock, costly: Callable[..., Costly]
) -> None:
    """What it was charged with isn't forgotten when all its subscriptions end."""
    router: Router[str] = Router(clock, clock, owner=str.lower)
    router.subscribe_match("Eve", [costly(str(number)) for number in range(20)])
    for number in range(3):
        router.targets(f"x{number}")
        clock.now += 1
    router.remove("Eve")
    router.subscribe_match("EVE", [costly("harmless", 0.0)])
    router.subscribe_match("ann", [costly("harmless", 0.0)])
    assert len(router.suspended("EVE")) == 1
    assert router.targets("y") == (("ann", 1),)


def test_a_pattern_that_turns_costly_is_cut_off_within_the_budget(
    router: Router[str], clock: Clock, costly: Callable[..., Costly]
) -> None:
    """Having been quick on some subjects gives no more than one budget on credit."""
    evil = [costly(str(number), 0.0) for number in range(400)]
    for number, each in enumerate(evil):
        router.subscribe_match(f"eve{number}", [each])
    router.targets("harmless")
    for each in evil:
        each.cost = 1.0
    began = clock.now
    router.targets("x")
    assert clock.now - began <= 2 * BUDGET + MATCH_TIMEOUT


def test_what_is_not_matched_is_not_remembered(
    router: Router[str], costly: Callable[..., Costly]
) -> None:
    """A subject on which a pattern was cut off is tried again; any other is not."""
    slow = costly("slow")
    router.subscribe_match("ann", [slow])
    router.targets("x")
    slow.cost = 0.0
    assert router.targets("x") == (("ann", 1),)
    router.targets("x")
    assert slow.calls == 2


def test_counts_of_unmatched_subjects_continue(
    router: Router[str], clock: Clock, costly: Callable[..., Costly]
) -> None:
    """The next process counts on, and doesn't tell the subscriber again."""
    slow = costly("slow")
    router.subscribe_match("ann", [slow])
    router.targets("x")
    other: Router[str] = Router(clock, clock)
    other.subscribe_match("ann", [slow])
    other.restore_unmatched("ann", router.unmatched("ann"))
    other.targets("x")
    assert other.unmatched("ann") == {slow.text: 2}
    assert other.take_notices() == []


@given(st.lists(st.tuples(st.integers(0, 2 * REMEMBERED), st.floats(0, 1)), max_size=50))
def test_charges_add_up(charges: list[tuple[int, float]]) -> None:
    """A name is over the limit from the charge on that takes it there, which is reported once."""
    charged, totals = Charges(1.0), dict[int, float]()
    for name, seconds in charges:
        before = totals.get(name, 0.0)
        totals[name] = before + seconds
        assert charged.add(name, seconds) == (before < 1.0 <= totals[name])
        assert charged.exceeded(name) == (totals[name] >= 1.0)


def test_the_memory_of_charges_is_bounded() -> None:
    """The first names are forgotten first."""
    charged = Charges(1.0)
    for number in range(REMEMBERED + 10):
        charged.add(number, 2.0)
    assert len(charged.plain()) == REMEMBERED
    assert not charged.exceeded(9)
    assert charged.exceeded(10)


@given(
    st.lists(
        st.tuples(st.sampled_from(["ann", "bob", "eve"]), st.sampled_from(["1", "2", "3"])),
        max_size=10,
    )
)
def test_notices_of_departed_subscribers_are_forgotten(moves: list[tuple[str, str]]) -> None:
    """Nobody is told who has left."""
    clock = Clock()
    router: Router[str] = Router(clock, clock)
    for key, text in moves:
        router.subscribe_match(key, [Costly(clock, text, 1.0)])
    for _ in range(CUT_OFFS):
        router.targets("x")
    router.remove("ann")
    assert all(notice.key != "ann" for notice in router.take_notices())


def test_new_subscribers_of_a_client_share_a_small_budget(clock: Clock) -> None:
    """They use it up without what the others have; it is refilled slowly."""
    time = MatchTime(clock)
    time.spend("(a|a)*$", NEW_BUDGET, "mallory", cut_off=True)
    assert not time.allows(None, "mallory")
    assert time.allows(None, "alice")
    assert time.allows(None, None)
    clock.now += 0.1
    time.refill()
    assert time.allows(None, "mallory")


def test_new_subscribers_of_all_clients_share_the_common_budget(clock: Clock) -> None:
    """However many clients there are, their slow matches together take no more than before."""
    time = MatchTime(clock)
    for number in range(9):
        assert time.allows(None, number)
        time.spend(str(number), BUDGET / 9 + 1e-6, number, cut_off=True)
    assert not time.allows(None, "another")


def test_a_subscriber_is_new_for_a_while(clock: Clock, costly: Callable[..., Costly]) -> None:
    """The patterns of an older one are matched while new ones have used up their client's time."""
    router: Router[str] = Router(clock, clock, client=lambda _key: "uid:1000")
    router.subscribe_match("old", [costly("old", 0.0011)])
    clock.now += NEW + 0.1
    for number in range(20):
        router.subscribe_match(f"new{number}", [costly(f"new{number}", 0.0011)])
    found = [key for key, _ in router.targets("x") or ()]
    assert found == ["old", *(f"new{number}" for number in range(math.ceil(NEW_BUDGET / 0.0011)))]
    clock.now += NEW + 0.1
    assert len(router.targets("y") or ()) == 21


def test_a_charged_subscriber_is_as_good_as_new(
    clock: Clock, costly: Callable[..., Costly]
) -> None:
    """Subscribers that were cut off use up their client's time, however old they are."""
    router: Router[str] = Router(clock, clock, client=lambda _key: "uid:1000")
    evil = [costly(f"{number}", 1.0) for number in range(10)]
    for number, pattern in enumerate(evil):
        router.subscribe_match(f"evil{number}", [pattern])
    clock.now += NEW + 0.1
    router.targets("x")
    before = sum(pattern.calls for pattern in evil)
    assert before >= BUDGET / MATCH_TIMEOUT
    clock.now += NEW
    router.targets("y")
    assert sum(pattern.calls for pattern in evil) - before <= NEW_BUDGET / MATCH_TIMEOUT + 1
