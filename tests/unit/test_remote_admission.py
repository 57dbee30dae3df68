"""Which connections the listener for other hosts takes: a flood takes neither time nor places."""

from __future__ import annotations

from pyroctl.manager.remote.admission import (
    MOST_CLIENTS,
    MOST_STRANGERS,
    MOST_STRANGERS_PER_ADDRESS,
    PER_ADDRESS,
    TOTAL,
    Admission,
)


def test_the_rate_of_one_address_is_bounded() -> None:
    """A burst, and then a few in a second; others are not held up by it."""
    admission, taken = Admission(), 0
    for number in range(1000):
        taken += admission.arrive(number, "a", 10 + number / 1000) is None
        admission.leave(number)
    assert taken <= PER_ADDRESS.burst + PER_ADDRESS.per_second
    assert admission.arrive(1000, "b", 11) is None


def test_the_rate_of_all_addresses_is_bounded() -> None:
    """However many there are."""
    admission, taken = Admission(), 0
    for number in range(5000):
        taken += admission.arrive(number, str(number), 10 + number / 5000) is None
        admission.leave(number)
    assert TOTAL.burst <= taken <= TOTAL.burst + TOTAL.per_second + 1


def test_the_oldest_stranger_makes_room() -> None:
    """A client with a certificate has a place of its own, and keeps it."""
    admission = Admission()
    now = 10.0
    assert admission.arrive(0, "client", now) is None
    assert admission.introduce(0)
    for number in range(1, MOST_STRANGERS + 1):
        now += 1
        assert admission.arrive(number, f"10.0.0.{number}", now) is None
        assert admission.superfluous() is None
    assert admission.arrive(99, "late", now + 1) is None
    assert admission.superfluous() == 1
    admission.leave(1)
    assert admission.superfluous() is None
    assert admission.connections == MOST_STRANGERS + 1


def test_the_places_are_counted() -> None:
    """Of one address, and of clients."""
    admission = Admission()
    for number in range(MOST_STRANGERS_PER_ADDRESS):
        assert admission.arrive(number, "a", 10 + number) is None
    refusal = admission.arrive(99, "a", 30)
    assert refusal == "too many connections of one address"
    for number in range(100, 100 + MOST_CLIENTS):
        assert admission.introduce(number)
    assert not admission.introduce(1)
