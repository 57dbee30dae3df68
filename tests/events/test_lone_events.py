"""The short ways of a lone event do what the general ones do."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgpack
import pytest

from pyro_events._client.calls import encode_call
from pyro_events._client.outbox import Outbox
from pyro_events._client.publish_call import METHOD, PublishCalls
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events.errors import OutcomeUnknown
from pyro_wire import framing

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._client.outbox import Entry

ENTRY: Entry = (("a",), b"\x01", False)
FRAME = framing.encode_frame(framing.INVOKE, framing.MSGPACK, framing.ONEWAY, 7, b"data")


def answer(value: object, flags: int = 0, serializer: int = framing.MSGPACK) -> framing.Frame:
    return framing.Frame(framing.RESULT, serializer, flags, 1, b"", msgpack.packb(value))


def test_a_frame_that_comes_alone_is_the_same_frame() -> None:
    """It leaves nothing in the reader, which goes on with the next bytes."""
    reader, other = framing.FrameReader(1000), framing.FrameReader(1000)
    other.feed(FRAME)
    assert reader.lone_frame(FRAME) == other.next_frame()
    assert reader.next_frame() is None
    reader.feed(FRAME)
    assert reader.next_frame() is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        FRAME[:-1],
        FRAME + FRAME,
        FRAME + b"P",
        b"HTTP" + FRAME[4:],
        FRAME[:38] + b"\0\0" + FRAME[40:],
        framing.encode_frame(framing.INVOKE, framing.MSGPACK, 0, 1, b"d", b"annotated"),
        framing.encode_frame(framing.INVOKE, framing.MSGPACK, 0, 1, bytes(framing.SMALL + 1)),
        framing.encode_frame(
            framing.INVOKE, framing.MSGPACK, framing.COMPRESSED, 1, zlib.compress(b"data")
        ),
    ],
)
def test_bytes_that_are_anything_else_have_to_be_fed(data: bytes) -> None:
    """They are not taken for a frame."""
    assert framing.FrameReader(100_000).lone_frame(data) is None


def test_a_frame_after_others_or_beyond_the_limit_has_to_be_fed() -> None:
    """Its place in the stream, and what is allowed, are the reader's business."""
    small, busy = framing.FrameReader(3), framing.FrameReader(1000)
    assert small.lone_frame(FRAME) is None
    busy.feed(FRAME[:10])
    assert busy.lone_frame(FRAME) is None
    with pytest.raises(framing.FrameTooLarge):
        small.feed(FRAME[:-2])
        small.next_frame()
    assert small.lone_frame(FRAME) is None  # two bytes are still to be discarded


def test_a_lone_call_has_the_bytes_of_a_batch_of_one() -> None:
    """The event service can't tell which way was taken."""
    usual = encode_call(9, EVENTSERVICE_NAME, METHOD, ["me", 5, [ENTRY]])
    assert PublishCalls("me").encode(9, 5, ENTRY) == usual


@pytest.mark.parametrize(
    ("frame", "number", "refused", "error"),
    [
        (answer(["now", 5]), 5, (), type(None)),
        (answer(["now", 8]), 8, (), type(None)),
        (answer(["later", 5]), 5, (), type(None)),
        (answer(["now", 8, [6], "no rule"]), 8, [6], PermissionError),
        (answer(["now", 5], framing.EXCEPTION), None, (), RuntimeError),
        (answer(["now", 5], serializer=framing.JSON), None, (), OutcomeUnknown),
        (answer("nonsense"), None, (), OutcomeUnknown),
    ],
)
def test_answers_say_what_is_settled(
    frame: framing.Frame, number: int | None, refused: object, error: type
) -> None:
    """An answer that is not the expected one, byte for byte, is decoded."""
    calls = PublishCalls("me")
    calls.incarnation = "now"
    found = calls.read_answer(frame, 5)
    assert (found.number, found.refused, type(found.error)) == (number, refused, error)


def test_a_lone_event_is_in_flight_as_a_batch_of_one() -> None:
    """Whatever happens next, the outbox is in the same state."""
    short, usual = Outbox(10, 10_000), Outbox(10, 10_000)
    number = short.add(ENTRY)
    assert usual.add(ENTRY) == number
    batch = usual.next_batch()
    assert batch is not None
    assert [short.next_alone(number)] == batch.entries
    assert vars(short) == vars(usual)
    for each in (short, usual):
        each.acknowledge(number)
        assert each.empty
    assert vars(short) == vars(usual)


def _two(outbox: Outbox) -> int:
    outbox.add(ENTRY)
    return outbox.add(ENTRY)


def _sent(outbox: Outbox) -> int:
    outbox.add(ENTRY)
    outbox.next_batch()
    return outbox.last


def _withdrawn_before(outbox: Outbox) -> int:
    _two(outbox)
    outbox.next_batch()
    outbox.withdraw(1)
    return 2


def _large(outbox: Outbox) -> int:
    return outbox.add((("a",), bytes(2000), False))


@pytest.mark.parametrize("state", [_two, _sent, _withdrawn_before, _large])
def test_other_events_are_left_to_batches(state: Callable[[Outbox], int]) -> None:
    """Nothing has changed then."""
    outbox = Outbox(10, 10_000)
    number = state(outbox)
    before = dict(vars(outbox))
    assert outbox.next_alone(number) is None
    assert vars(outbox) == before
