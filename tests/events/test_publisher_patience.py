"""The budget of seconds that a publisher waits for full queues; the clock is a number."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_events._broker.delivery.patience import LEAST, SHARE, Patience


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_all_of_it_is_there_at_first(clock: Clock) -> None:
    """And no more than that after a quiet day."""
    patience = Patience(0.1, clock)
    assert patience.left() == 0.1
    clock.now += 86400
    assert patience.left() == 0.1


def test_what_was_used_comes_back_slowly(clock: Clock) -> None:
    """The whole of it after 200 times as long."""
    patience = Patience(0.1, clock)
    patience.use(0.06)
    assert patience.left() == pytest.approx(0.04)
    clock.now += 0.03 / SHARE
    assert patience.left() == pytest.approx(0.07)
    clock.now += 0.04 / SHARE
    assert patience.left() == 0.1


def test_nobody_waits_for_less_than_is_worth_it(clock: Clock) -> None:
    """A timer of some microseconds bridges nothing."""
    patience = Patience(0.1, clock)
    patience.use(0.1)
    clock.now += 0.9 * LEAST / SHARE
    assert patience.left() == 0.0
    clock.now += 0.2 * LEAST / SHARE
    assert patience.left() >= LEAST


def test_a_tiny_patience_is_worth_it(clock: Clock) -> None:
    """A publisher that asks for less than that gets it."""
    patience = Patience(LEAST / 10, clock)
    assert patience.left() == LEAST / 10
    patience.use(LEAST / 10)
    assert patience.left() == 0.0


def test_it_owes_no_more_than_the_whole(clock: Clock) -> None:
    """Several publishes that wait at the same time are forgotten as soon as one."""
    patience = Patience(0.1, clock)
    for _ in range(10):
        patience.use(0.1)
    clock.now += 0.11 / SHARE
    assert patience.left() == 0.1


@pytest.mark.parametrize("seconds", [0.0, inf])
def test_none_and_all_stay_what_they_are(seconds: float, clock: Clock) -> None:
    """No patience never waits, and an endless one is not limited."""
    patience = Patience(seconds, clock)
    patience.use(1000)
    assert patience.left() == seconds


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), max_size=50))
def test_the_share_holds_whatever_happens(steps: list[tuple[float, float]]) -> None:
    """Nobody waits longer than the whole once, and that part of the time."""
    clock = Clock()
    patience, waited = Patience(0.5, clock), 0.0
    for pause, part in steps:
        clock.now += pause
        wait = part * patience.left()
        clock.now += wait
        patience.use(wait)
        waited += wait
    assert waited <= 0.5 + SHARE * (clock.now - 1000.0) + 1e-6


def test_another_process_is_as_patient(clock: Clock) -> None:
    """A handover carries the seconds; what was used is forgotten."""
    patience, other = Patience(0.3, clock), Patience(0.0, clock)
    patience.use(0.3)
    other.restore(patience.snapshot(None), None)
    assert other.left() == 0.3
