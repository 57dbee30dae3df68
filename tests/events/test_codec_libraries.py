"""With ormsgpack and without, bytes and messages are the same."""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyro_events.codec import Codec

if TYPE_CHECKING:
    from collections.abc import Callable

with_ormsgpack, with_msgpack = Codec(), Codec()
with_msgpack._quick = None


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int


@dataclass
class Data:
    x: int


ODD = [Colour.RED, Text("a"), Point(1), Data(1), bytearray(b"b"), memoryview(b"m")]
ODD += [msgpack.ExtType(1, b"")]
keys = st.text(max_size=4) | st.binary(max_size=3) | st.integers(-3, 3) | st.booleans() | st.none()
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=40)
    | st.binary(max_size=300)
    | st.dates()
    | st.datetimes()
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.complex_numbers()
    | st.frozensets(st.integers(), max_size=2)
    | st.sampled_from([*ODD, "\ud800", 2**63, 2**64, -(2**63), OrderedDict(a=1)])
)
messages = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=17)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=17)
    ),
    max_leaves=20,
)


def outcome(call: Callable[[], Any], show: Callable[[Any], str] = repr) -> str:
    try:
        return show(call())
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


@settings(deadline=None, max_examples=500)
@given(messages)
@example([[[]]] * 3)
def test_the_same_bytes(message: Any) -> None:
    """Each message gives the same bytes, or the same error with the same words."""
    packed = outcome(lambda: with_ormsgpack.pack(message))
    assert packed == outcome(lambda: with_msgpack.pack(message))


@pytest.mark.parametrize("depth", [250, 255, 500, 511, 1020, 1021, 1022, 1023, 1024, 5000])
def test_the_same_depth(depth: int) -> None:
    """Nesting ends at the same depth, in both directions."""
    message: Any = []
    for _ in range(depth):
        message = [message]
    packed = outcome(lambda: with_msgpack.pack(message))
    assert outcome(lambda: with_ormsgpack.pack(message)) == packed
    body = b"\x91" * depth + b"\xc0"
    unpacked = outcome(lambda: with_msgpack.unpack(body), lambda _: "nested")
    assert outcome(lambda: with_ormsgpack.unpack(body), lambda _: "nested") == unpacked


def pack_or_nothing(message: Any) -> bytes:
    try:
        return with_msgpack.pack(message)
    except (TypeError, ValueError):
        return b""


stamps = st.sampled_from([b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff"])
hostile = (
    st.binary(max_size=40)
    | messages.map(pack_or_nothing).filter(bool)
    | st.builds(lambda start, rest: start + rest, stamps, st.binary(max_size=12))
)


@settings(deadline=None, max_examples=1000)
@given(st.lists(hostile, min_size=1, max_size=4), st.data())
@example([b"\xd6\xff\0\0\0\1"], None)
@example([b"\x82\xa1a\x01\xa1a\x02"], None)
@example([b"\x01\x02"], None)
@example([b""], None)
def test_the_same_messages(bodies: list[bytes], data: Any) -> None:
    """The outcome of any bytes, damaged ones too, is the same, alone and together."""
    if data is not None and bodies[0]:
        at = data.draw(st.integers(0, len(bodies[0]) - 1))
        byte = data.draw(st.binary(max_size=2))
        bodies[0] = bodies[0][:at] + byte + bodies[0][at + 1 :]
    for body in bodies:
        found = outcome(lambda body=body: with_ormsgpack.unpack(body))  # type: ignore[misc] # bound now
        assert found == outcome(lambda body=body: with_msgpack.unpack(body))  # type: ignore[misc] # bound now
    together = outcome(lambda: with_ormsgpack.unpack_all(bodies))
    assert together == outcome(lambda: with_msgpack.unpack_all(bodies))


def test_a_timestamp_of_msgpack_is_no_message() -> None:
    """Both refuse extension type -1, which no message of ours has."""
    for codec in (with_ormsgpack, with_msgpack):
        for body in (b"\xd6\xff\0\0\0\1", msgpack.packb([msgpack.Timestamp(1, 1)])):
            with pytest.raises(ValueError, match="extension type -1"):
                codec.unpack(body)
