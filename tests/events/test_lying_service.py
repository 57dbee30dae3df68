"""Helpers whose event service answers with nonsense."""

from __future__ import annotations

import marshal

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_events import Publisher
from pyro_events._client.calls import outcome
from pyro_events._client.receiving.pushes import parse_push, unpack_events
from pyro_events._protocol.event import HELPER_PROTOCOL, Undecodable
from pyro_events.errors import EventServiceError, OutcomeUnknown
from pyro_wire import framing
from pyro_wire.messages import ConnectRefused, UnexpectedAnswer, decode_connect
from tests.faults.fuzz.liar import FakeServer, encoded

PUSH = b"\x92\xcf" + bytes(8) + bytes(msgpack.packb([["a", 1.5, msgpack.packb(7), False]]))
values = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=5) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    push = bytearray(PUSH)
    for _ in range(draw(st.integers(1, 4))):
        push[draw(st.integers(0, len(push) - 1))] = draw(st.integers(0, 255))
    return bytes(push)


@given(damaged() | st.binary(max_size=60) | values.map(msgpack.packb))
def test_a_push_that_makes_no_sense_is_one_undecodable_event(data: bytes) -> None:
    """It is refused as it arrives, or reported by `listen`, which goes on."""
    try:
        push = parse_push(data)
    except ValueError:
        return
    if not isinstance(push, dict):
        assert unpack_events(data, 0)


@given(st.integers(0, 255), st.binary(max_size=60) | values.map(msgpack.packb))
def test_an_answer_that_makes_no_sense_is_an_error_of_ours(serializer: int, data: bytes) -> None:
    """Whatever the serializer is said to be."""
    _, error = outcome(framing.Frame(framing.RESULT, serializer, 0, 1, b"", data))
    assert error is None or isinstance(error, EventServiceError)


@given(st.text())
def test_marshal_is_not_decoded(text: str) -> None:
    """Stock daemons refuse in it before they know the client: only such a text is read."""
    data = marshal.dumps(text)
    with pytest.raises(ConnectRefused) as refusal:
        decode_connect(framing.Frame(framing.CONNECTFAIL, framing.MARSHAL, 0, 0, b"", data))
    assert str(refusal.value) == text
    with pytest.raises(UnexpectedAnswer, match="in marshal"):
        decode_connect(framing.Frame(framing.CONNECTOK, framing.MARSHAL, 0, 0, b"", data))


@pytest.mark.parametrize("answer", [None, 7, [], ["x", "y"], {}])
def test_publish_reports_an_answer_without_meaning(answer: object) -> None:
    """The event may or may not have been published."""

    def lie(frame: framing.Frame) -> bytes:
        greeting = {"pyro_events": HELPER_PROTOCOL, "incarnation": "i", "version": "0"}
        if frame.type == framing.CONNECT:
            return encoded(frame, framing.CONNECTOK, {"handshake": greeting, "meta": {}})
        return encoded(frame, framing.RESULT, answer)

    with FakeServer(lie) as server:
        publisher = Publisher(f"PYRO:Pyro.EventService@127.0.0.1:{server.port}", timeout=5)
        with publisher, pytest.raises(OutcomeUnknown, match="makes no sense"):
            publisher.publish("a", 1)


def test_nonsense_among_events_is_undecodable() -> None:
    """One stands for the whole frame."""
    (event,) = unpack_events(PUSH[:10] + bytes(msgpack.packb([1, 2])), 0)
    assert isinstance(event, Undecodable)
    assert "nonsense" in event.reason
    (event,) = unpack_events(bytes(msgpack.packb([1, []])) + bytes(100_000), 0)
    assert isinstance(event, Undecodable)
    assert len(event.reason) < 200  # none of the bytes are quoted
