"""Unpacking many messages at once returns the same as unpacking each, whatever their bytes."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyro_events.codec import pack, unpack, unpack_all

pytestmark = pytest.mark.usefixtures("each_codec")

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.binary(max_size=9)
)
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=9,
)
tagged = st.tuples(scalars) | st.sets(st.integers(), max_size=1) | st.dates()


@settings(deadline=None)
@given(st.lists(plain | tagged, max_size=9))
def test_many_messages_arrive_as_they_were(messages: list[Any]) -> None:
    """Type and value, in order, with tags and without."""
    bodies = list(map(pack, messages))
    found = unpack_all(bodies)
    assert list(map(pack, found)) == bodies
    assert list(map(type, found)) == list(map(type, messages))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12) | plain.map(pack), max_size=6))
@example([b"\x92", pack(1), b"\xc0\xc0\xc0"])
@example([b"\xc0\xc0", pack(1), b"\x91"])
@example([b"\x91", pack(1), pack(date(2026, 1, 2))])
def test_no_bytes_affect_their_neighbours(bodies: list[bytes]) -> None:
    """A body that isn't exactly one message is an error, and never part of another message."""
    try:
        expected = [unpack(body) for body in bodies]
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            unpack_all(bodies)
        return
    assert repr(unpack_all(bodies)) == repr(expected)


def test_a_list_that_claims_too_much_allocates_nothing() -> None:
    """Its length is checked before the list is created."""
    with pytest.raises(ValueError, match=r"."):
        unpack_all([b"\xdd\x7f\xff\xff\xff", pack(1)])


def test_nan_and_none_at_all() -> None:
    """No messages give an empty list, and NaN, unequal to itself, still arrives."""
    assert unpack_all([]) == []
    (found,) = unpack_all([pack(math.nan)])
    assert math.isnan(found)
