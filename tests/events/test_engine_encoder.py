"""Spliced requests against Pyro5's own decoders, and what daemons answer."""

from __future__ import annotations

import json
import marshal
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgpack
import pytest
import serpent
from hypothesis import example, given
from hypothesis import strategies as st
from Pyro5.core import _ExceptionWrapper
from Pyro5.serializers import SerializerBase, serializers_by_id

from pyro_events._broker.delivery.callback.messages import batch_outcome, describe
from pyro_events._broker.delivery.encoder import (
    UNENCODABLE,
    Encoder,
    Group,
    Variant,
    array_header,
    prefix,
)
from pyro_events._protocol.event import Event
from pyro_events.codec import Codec, pack
from pyro_wire import framing
from pyro_wire.framing import Frame, ProtocolError

pytestmark = pytest.mark.usefixtures("each_codec")

EVENT = Variant(as_dict=False, msgpack=True)
DICT = Variant(as_dict=True, msgpack=True)
NO_MSGPACK = Variant(as_dict=False, msgpack=False)
OBJECT = "obj_1'\"\\é"

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.complex_numbers(allow_nan=False),
)
messages = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=9).filter(lambda t: "__" not in t), inner, max_size=4),
        st.dictionaries(st.integers(), inner, max_size=3),
        st.sets(st.integers(), max_size=4),
    ),
    max_leaves=12,
)


def item(message: object, subject: str = "Subject", time: float = 1.5) -> Any:
    return (subject, time, pack(message), False)


def decode(group: Group, object_id: str = OBJECT) -> list[Any]:
    """Decode a group as a stock daemon does; returns the events."""
    start = prefix(group.serializer, object_id)
    serializer = serializers_by_id[group.serializer]
    events = []
    for part in group.parts:
        target, method, args, kwargs = serializer.loadsCall(start + part)
        assert target == object_id
        if group.serializer == framing.MARSHAL:
            calls = [(method, args, kwargs)]
        else:
            assert method == "<batch>"
            calls = args
        for name, arguments, options in calls:
            assert (name, options) == ("event", {})
            (event,) = arguments
            events.append(event)
    assert len(events) == group.events
    return events


def decode_all(items: list[Any], variant: Variant) -> list[Any]:
    encoder, found = Encoder(), []
    while items:
        group = encoder.group(items, variant)
        found += decode(group)
        items = items[group.events :]
    return found


@given(st.lists(messages, min_size=1, max_size=6))
def test_events_arrive_as_they_were_published(sent: list[Any]) -> None:
    """Whatever msgpack or marshal can carry arrives unchanged, type and value, in order."""
    found = decode_all([item(message) for message in sent], EVENT)
    assert found == [Event("Subject", message, 1.5) for message in sent]
    assert [type(event.msg) for event in found] == [type(message) for message in sent]


@given(st.lists(messages, min_size=1, max_size=4))
def test_daemons_without_msgpack(sent: list[Any]) -> None:
    """The same holds for daemons without msgpack."""
    found = decode_all([item(message) for message in sent], NO_MSGPACK)
    assert found == [Event("Subject", message, 1.5) for message in sent]


@given(messages)
def test_events_as_dicts(message: Any) -> None:
    """Subscribers that don't know Event get a plain dict."""
    assert decode_all([item(message)], DICT) == [
        {"subject": "Subject", "msg": message, "time": 1.5}
    ]


@pytest.mark.parametrize(
    ("message", "serializer"),
    [
        ({"a": [1, 2.5, None, True, "x", b"y"]}, framing.MSGPACK),
        ((1, 2), framing.MARSHAL),
        ({1: 2}, framing.MARSHAL),
        (2**70, framing.MARSHAL),
        ({"__class__": "x"}, framing.MARSHAL),
        (Decimal("1.5"), framing.SERPENT),
        ([datetime(2024, 1, 2, tzinfo=UTC)], framing.SERPENT),
        (UUID(int=5), framing.SERPENT),
    ],
)
def test_the_fastest_faithful_serializer_is_chosen(message: object, serializer: int) -> None:
    """For dicts this is msgpack where it is faithful, else marshal, else serpent."""
    assert Encoder().group([item(message)], DICT).serializer == serializer
    assert Encoder().group([item(message)], EVENT).serializer == framing.MSGPACK


@pytest.mark.parametrize(
    ("message", "arrives"),
    [(Decimal("1.5"), "1.5"), (UUID(int=5), str(UUID(int=5))), ([Decimal(2), (1,)], ["2", (1,)])],
)
def test_serpents_own_conversions(message: object, arrives: object) -> None:
    """What only serpent accepts arrives as Pyro5's serpent converts it."""
    assert [event["msg"] for event in decode_all([item(message)], DICT)] == [arrives]


def test_groups_end_where_the_serializer_changes() -> None:
    """A group holds the first events of one serializer, so that the order is kept."""
    kinds = [1, 2, (3,), (4,), Decimal(5), 6]
    items, encoder, found = [item(kind) for kind in kinds], Encoder(), []
    while items:
        group = encoder.group(items, DICT)
        found.append((group.serializer, group.events))
        items = items[group.events :]
    assert found == [(4, 2), (2, 2), (1, 1), (4, 1)]
    whole = encoder.group([item(kind) for kind in kinds], EVENT)
    assert [event.msg for event in decode(whole)] == kinds


def test_opaque_messages_are_bytes() -> None:
    """An opaque message reaches a stock subscriber as the bytes that it is."""
    opaque = ("Subject", 1.5, b"\xffanything", True)
    for variant in (EVENT, NO_MSGPACK):
        assert decode_all([opaque, item((1,))], variant)[:1] == [
            Event("Subject", b"\xffanything", 1.5)
        ]


def test_registered_classes_arrive_as_pyro5_sends_them() -> None:
    """An object of a class that only the publisher registered is passed on for Pyro5 to rebuild."""
    codec = Codec()
    frame = Frame(1, 2, 3, 4, b"", b"")
    codec.register(Frame, "lab.Frame", lambda frame: {"seq": frame.seq}, lambda _: frame)
    body = codec.pack(frame)
    group = Encoder().group([("Subject", 1.5, body, False)], DICT)
    assert group.serializer == framing.MARSHAL
    args = marshal.loads(group.parts[0])
    assert args[0]["msg"] == {"__class__": "lab.Frame", "seq": 4}


class Probe:
    """A class that only Pyro5 knows."""

    def __init__(self, value: int) -> None:
        self.value = value


def test_classes_that_only_pyro5_knows_arrive() -> None:
    """A subscriber that registered a class with Pyro5 alone still gets objects of it."""
    codec = Codec()
    codec.register(Probe, "lab.Probe", lambda probe: {"value": probe.value}, lambda _: Probe(0))
    body = codec.pack([(Probe(4),)])
    SerializerBase.register_dict_to_class("lab.Probe", lambda _, state: Probe(state["value"]))
    try:
        (event,) = decode(Encoder().group([("Subject", 1.5, body, False)], EVENT))
    finally:
        SerializerBase.unregister_dict_to_class("lab.Probe")
    ((probe,),) = event.msg
    assert (type(probe), probe.value) == (Probe, 4)


DAMAGED = [b"", b"\xc1", b"\xc0\xc0", b"\xc7\x00\x63", b"\x92\xc0"]


@pytest.mark.parametrize("body", DAMAGED)
def test_damaged_bodies_are_never_spliced(body: bytes) -> None:
    """Bytes that are not exactly one message never become part of a request."""
    group = Encoder().group([("Subject", 1.5, body, False)], DICT)
    assert (group.serializer, group.events) == (UNENCODABLE, 1)


@pytest.mark.parametrize("body", DAMAGED)
def test_damaged_bodies_are_refused_by_the_class(body: bytes) -> None:
    """An Event whose body isn't a message can't be created."""
    group = Encoder().group([("Subject", 1.5, body, False)], EVENT)
    with pytest.raises(ValueError):  # noqa: PT011 - msgpack gives some without a text
        decode(group)


@given(st.binary(max_size=30))
def test_no_body_can_break_out_of_its_event(body: bytes) -> None:
    """However a body is made, a request decodes to exactly the events that were meant."""
    group = Encoder().group([("Subject", 1.5, body, False), item("next")], DICT)
    if group.serializer != UNENCODABLE:
        events = decode(group)
        assert len(events) == group.events
        assert all(event["subject"] == "Subject" and event["time"] == 1.5 for event in events)


def test_bodies_are_shared() -> None:
    """Subscribers with the same backlog share the same bytes; another backlog has its own."""
    encoder = Encoder()
    first, second, third = item(1), item(2), item(3)
    assert encoder.stream_body([first, second]) is encoder.stream_body([first, second])
    assert encoder.stream_body([first, third]) != encoder.stream_body([first, second])
    assert encoder.group([first, third], EVENT) is encoder.group([first, third], EVENT)
    assert msgpack.unpackb(encoder.stream_body([first])) == [["Subject", 1.5, pack(1), False]]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65535, 65536])
def test_array_headers(count: int) -> None:
    """Our list headers are those of msgpack."""
    assert array_header(count) == msgpack.Packer().pack_array_header(count)


def reply(serializer: int, results: Any, flags: int = framing.BATCH) -> Frame:
    return Frame(
        framing.RESULT, serializer, flags, 1, b"", serializers_by_id[serializer].dumps(results)
    )


@pytest.mark.parametrize("serializer", [framing.SERPENT, framing.MSGPACK])
def test_outcomes_of_batches(serializer: int) -> None:
    """The outcome has the number of completed calls, and the exception."""
    failure = _ExceptionWrapper(ValueError("boom", 5))
    assert batch_outcome(reply(serializer, [None] * 3), 3) == (3, None)
    assert batch_outcome(reply(serializer, [None, 1, {"a": 2}]), 3) == (3, None)
    assert batch_outcome(reply(serializer, [None, failure]), 3) == (1, "ValueError: boom, 5")
    assert batch_outcome(reply(serializer, [None, None, failure]), 3) == (2, "ValueError: boom, 5")
    refused = reply(serializer, ValueError("no"), framing.EXCEPTION)
    assert batch_outcome(refused, 3) == (0, "ValueError: no")


@pytest.mark.parametrize("serializer", [framing.SERPENT, framing.MSGPACK])
@pytest.mark.parametrize("results", [[], [None], [None] * 4, "text", {}, 5])
def test_nonsense_for_a_reply(serializer: int, results: object) -> None:
    """An impossible reply counts as a broken connection, not as lost events."""
    with pytest.raises(ProtocolError):
        batch_outcome(reply(serializer, results), 3)


@given(st.sampled_from([1, 2, 3, 4, 9]), st.binary(max_size=60), st.sampled_from([0, 1, 8]))
@example(framing.MSGPACK, b"\xa0", framing.EXCEPTION)
def test_garbage_for_a_reply(serializer: int, data: bytes, flags: int) -> None:
    """Arbitrary bytes give an outcome or a ProtocolError."""
    frame = Frame(framing.RESULT, serializer, flags, 1, b"", data)
    assert describe(frame)
    try:
        good, _ = batch_outcome(frame, 2)
    except ProtocolError:
        return
    assert 0 <= good <= 2


def test_no_class_is_built_from_a_reply() -> None:
    """An exception of class SystemExit in a reply is only described."""
    data = msgpack.packb({"__class__": "builtins.SystemExit", "__exception__": True, "args": [3]})
    frame = Frame(framing.RESULT, framing.MSGPACK, framing.EXCEPTION, 1, b"", data)
    assert batch_outcome(frame, 2) == (0, "SystemExit: 3")


def test_exceptions_in_marshal_are_readable() -> None:
    """The text of an exception is found in marshal without decoding it."""
    error: dict[str, Any] = {"__class__": "builtins.ValueError", "args": ("boom",)}
    error["attributes"] = {"_pyroTraceback": ["Traceback:\n", "ValueError: boom\n"]}
    frame = Frame(framing.RESULT, framing.MARSHAL, framing.EXCEPTION, 1, b"", marshal.dumps(error))
    assert describe(frame).endswith("ValueError: boom")


def test_text_serializers_can_not_be_confused() -> None:
    """Quotes and brackets in subjects and messages stay inside them."""
    nasty = "'),('__exit__',(),{}),('event',('\n\"\\"
    found = decode_all([item([nasty, Decimal(1)], subject=nasty)], DICT)
    assert found == [{"subject": nasty, "msg": [nasty, "1"], "time": 1.5}]
    assert serpent.loads(prefix(framing.SERPENT, nasty) + b"[],None)")[0] == nasty
    assert json.dumps(nasty)


def test_subscribers_that_get_the_same_a_little_later_share_it() -> None:
    """What was encoded is kept for later rounds, but not more of it than a bound."""
    encoder = Encoder()
    few, large = ([("a", 1.0, pack("x" * size), False)] for size in (10, 1 << 20))
    body = encoder.stream_body(few)
    encoder.trim()
    assert encoder.stream_body(list(few)) is body
    encoder.stream_body(large)
    encoder.trim()
    assert encoder.stream_body(few) is not body
