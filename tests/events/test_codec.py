"""Messages arrive with the same type and value, or are refused where they are made."""

from __future__ import annotations

import collections
import contextlib
import enum
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from Pyro5.serializers import serializers

from pyro_events import codec
from pyro_events.codec import Codec

pytestmark = pytest.mark.usefixtures("each_codec")

ZONES = [UTC, timezone(timedelta(hours=5.5)), timezone(timedelta(microseconds=-1), "odd")]
zones = st.none() | st.sampled_from([*ZONES, ZoneInfo("UTC"), ZoneInfo("Europe/Amsterdam")])

hashables = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.dates()
    | st.times(timezones=zones)
    | st.datetimes(timezones=zones)
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids(),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=8,
)
messages = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(hashables, max_size=4)
        | st.dictionaries(hashables, inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=20,
)


def canonical(value: Any) -> Any:
    """Return a value that is equal when type and value are, at every depth."""
    kind = type(value).__name__
    if isinstance(value, (list, tuple)):
        return kind, [canonical(item) for item in value]
    if isinstance(value, dict):
        return kind, [(canonical(key), canonical(item)) for key, item in value.items()]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(repr(canonical(item)) for item in value)
    return kind, repr(value)


def same(one: Any, other: Any) -> bool:
    return bool(one == other) and canonical(one) == canonical(other)


@settings(deadline=None)
@given(messages)
def test_every_type_round_trips_wherever_it_is(message: Any) -> None:
    """Type and value are the same afterwards, nested in anything."""
    assert same(codec.unpack(codec.pack(message)), message)


@pytest.mark.parametrize(
    "message",
    [
        float("nan"),
        float("-inf"),
        -0.0,
        complex(-0.0, float("inf")),
        Decimal("NaN"),
        Decimal("sNaN123"),
        Decimal("1E+999999"),
        Decimal("-0.00"),
        2**64 - 1,
        2**64,
        -(2**63),
        -(2**63) - 1,
        10**500,
        datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Amsterdam")),
        datetime.max,  # noqa: DTZ901 - without a zone on purpose
        time(1, 2, 3, fold=1),
        timedelta.min,
        datetime(1, 1, 1, tzinfo=UTC),
        UUID(int=0),
        {"__class__": "pyro_events.Event"},
        {1: "a", "1": "b", None: "c", (): "d", 2**80: "e", 1.5: "f", b"": "g"},
        [[], (), {}, set(), frozenset()],
    ],
    ids=repr,
)
def test_hard_cases_round_trip(message: Any) -> None:
    """The corners of each type."""
    assert repr(codec.unpack(codec.pack(message))) == repr(message)


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


class Float64(float):
    """Numpy's float64 is such a subclass."""

    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Colour.RED, "message: test_codec.Colour can't"),
        ([1, (2, {"x": Float64(1.0)})], "message[1][1]['x']: test_codec.Float64 can't"),
        ({"a": [Name("n")]}, "message['a'][0]: test_codec.Name can't"),
        ([0, 1, Point(1, 2)], "message[2]: test_codec.Point can't"),
        (bytearray(b"x"), "message: bytearray can't"),
        ([memoryview(b"x")], "message[0]: memoryview can't"),
        ({"t": msgpack.ExtType(1, b"")}, "message['t']: msgpack.ext.ExtType can't"),
        (msgpack.Timestamp(1), "message: msgpack.ext.Timestamp can't"),
        ({"deep": {3: object()}}, "message['deep'][3]: object can't"),
        ({(1, Name("k")): 1}, "message (key (1, 'k'))[1]: test_codec.Name can't"),
        ({Name("k")}, "message{…}: test_codec.Name can't"),
        (ValueError("x"), "message: ValueError can't"),
        (collections.OrderedDict(a=1), "message: collections.OrderedDict can't"),
        (len, "message: builtin_function_or_method can't"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_other_type_is_refused_by_name_and_path(message: Any, words: str) -> None:
    """What would arrive as something else is a TypeError with type and path."""
    with pytest.raises(TypeError, match="^" + re.escape(words)):
        codec.pack(message)


def test_foreign_time_zones_are_refused() -> None:
    """A custom tzinfo can't be recreated elsewhere."""

    class Zone(type(UTC).__base__):  # type: ignore[misc] # tzinfo, by its shortest name
        def utcoffset(self, when):
            return timedelta(0)

    with pytest.raises(TypeError, match=r"^message\[0\]\.tzinfo: test_codec\..*Zone can't"):
        codec.pack([datetime(2024, 1, 1, tzinfo=Zone())])


def test_a_message_that_contains_itself_is_refused() -> None:
    """It is a ValueError, not an endless loop."""
    message: list[Any] = []
    message.append(message)
    with pytest.raises(ValueError, match="too deeply"):
        codec.pack(message)


@pytest.mark.parametrize("depth", [100, 2000])
def test_depth_is_harmless(depth: int) -> None:
    """Deep messages pass or raise ValueError; they never crash."""
    message: Any = ()
    for _ in range(depth):
        message = (message,)
    try:
        packed = codec.pack(message)
    except ValueError:
        assert depth > 100
    else:
        assert codec.unpack(packed) == message


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("\ud800", "message"),
        (["a", {"b": ("x", {"\udfff"})}], "message[1]['b'][1]{…}"),
        ({1: {"\ud801": 1}}, "message[1] (key '\\ud801')"),
        ({("x", "\ud801"): 1}, "message (key ('x', '\\ud801'))[1]"),
    ],
)
def test_lone_surrogates_are_refused(message: Any, place: str) -> None:
    """They are not Unicode text; the error says where they are."""
    with pytest.raises(ValueError, match=re.escape(f"{place}: '") + ".*surrogates not allowed"):
        codec.pack(message)
    assert codec.unpack(codec.pack("Ö")) == "Ö"


@pytest.mark.parametrize("stamp", [msgpack.Timestamp(1), msgpack.Timestamp(1 << 40, 1)])
def test_timestamps_of_msgpack_are_refused(stamp: Any) -> None:
    """The codec never sends them, and nobody expects them; bytes that look alike arrive."""
    for message in (stamp, [stamp], {"a": {"b": stamp}}, {stamp: 1}):
        raw = msgpack.packb(message)
        for received in (raw, codec.pack((1, None))[:-1] + raw):
            with pytest.raises(ValueError, match="extension type -1"):
                codec.unpack(received)
            with pytest.raises(ValueError, match="extension type -1"):
                codec.unpack_all([codec.pack(1), received])
    alike = {"bytes": msgpack.packb(stamp), (1,): b"\xd6\xff\xd7\xff"}
    assert codec.unpack(codec.pack(alike)) == alike
    assert codec.unpack_all([codec.pack(b"\xd6\xff"), codec.pack(1)]) == [b"\xd6\xff", 1]


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_garbage_is_a_value_error(data: bytes) -> None:
    """Bytes from elsewhere give a message or a ValueError, nothing else."""
    with contextlib.suppress(ValueError):
        codec.unpack(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0\xc0",
        b"\xc7\x00\x01",
        b"\xc7\x00\x7f",
        b"\xd4\x01x",
        b"\x92\xc7\x00\x02\x90",
        b"\x92\xc7\x00\x04\x01",
        b"\x92\xc7\x00\x0d\xc4\x01x",
        b"\x91" * 100_000 + b"\xc0",
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_damaged_messages_are_value_errors(data: bytes) -> None:
    """Tags without values, unhashable members, absurd depth and length."""
    with pytest.raises(ValueError, match=r".+|^$"):
        codec.unpack(data)


@dataclass
class Sample:
    value: Any


def sample_codec(**options: Any) -> Codec:
    made = Codec(**options)
    made.register(Sample, "lab.Sample", lambda s: {"v": s.value}, lambda d: Sample(d["v"]))
    return made


@settings(deadline=None)
@given(messages)
def test_registered_classes_round_trip(message: Any) -> None:
    """Objects travel as what to_dict returns, nested in anything and with anything inside."""
    own = sample_codec()
    packed = own.pack({"s": [Sample((message, Sample(None)))]})
    assert same(own.unpack(packed)["s"][0].value[0], message)


def test_a_class_that_is_not_registered_here_is_named() -> None:
    """The receiver's error names the class that it lacks."""
    packed = sample_codec().pack(Sample(1))
    with pytest.raises(ValueError, match=r"'lab\.Sample'"):
        codec.unpack(packed)


def test_unknown_classes_can_be_kept_as_what_the_caller_wants() -> None:
    """The event service uses this to pass them on to stock clients as Pyro5 writes them."""
    through = Codec(unknown=lambda name, state: {"__class__": name, **state})
    assert through.unpack(sample_codec().pack([Sample(1)])) == [{"__class__": "lab.Sample", "v": 1}]


def test_values_inside_registered_classes_are_named_by_path() -> None:
    """The path leads to the bad value, through to_dict."""
    with pytest.raises(TypeError, match=r"^message\[0\]\['v'\]: object can't"):
        sample_codec().pack([Sample(object())])


def test_registrations_are_checked() -> None:
    """Types that travel anyway and names that are taken are refused; the same again is fine."""
    own = sample_codec()
    own.register(Sample, "lab.Sample", lambda s: {"v": s.value}, lambda d: Sample(d["v"]))
    for cls in (int, dict, tuple, datetime):
        with pytest.raises(ValueError, match="can be sent as it is"):
            own.register(cls, "x", dict, dict)  # type: ignore[arg-type] # never gets that far
    with pytest.raises(ValueError, match="registered for another"):
        own.register(Colour, "lab.Sample", lambda _: {}, lambda _: Colour.RED)


def test_registering_with_the_process_registers_with_pyro_too() -> None:
    """Callback subscribers and bare proxies in the same program know the class."""

    class Reading:
        def __init__(self, value: int) -> None:
            self.value = value

    name = f"lab.Reading{uuid4().hex}"
    codec.register(Reading, name, lambda r: {"value": r.value}, lambda d: Reading(d["value"]))
    try:
        assert codec.unpack(codec.pack(Reading(5))).value == 5
        for serializer in ("serpent", "json", "msgpack"):
            data = serializers[serializer].dumps([Reading(7)])
            assert serializers[serializer].loads(data)[0].value == 7
    finally:
        codec.unregister(Reading)
