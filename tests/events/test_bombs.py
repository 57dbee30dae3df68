"""Small messages that would cost much to decode."""

from __future__ import annotations

import contextlib
import json
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import serpent
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyro_events._broker.delivery.callback.messages import batch_outcome
from pyro_events._broker.delivery.encoder import UNENCODABLE, Encoder, Variant
from pyro_events._broker.rpc.calls import decode_request
from pyro_events._protocol.decode_limits import (
    FEW,
    LimitReached,
    check_json,
    check_msgpack,
    check_serpent,
)
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events.codec import pack
from pyro_wire import framing
from pyro_wire.framing import Frame, ProtocolError
from tests.events.service_harness import WireClient, proxy

if TYPE_CHECKING:
    from tests.events.service_harness import Make, Start

pytestmark = pytest.mark.usefixtures("each_codec")

MIB = 1 << 20
BOMBS = {
    "list": b"[" + b"1," * 500_000 + b"]",
    "nested": b"[" + b"[]," * 500_000 + b"]",
    "tuple": b"(" + b"1," * 500_000 + b")",
    "dict": b"{" + b"1:1," * 300_000 + b"}",
    "sum": b"1" + b"+1" * 500_000,
    "attributes": b"a" + b".a" * 500_000,
    "words": b"1" + b" or 1" * 500_000,
    "texts": b"''" * 500_000,
    "minus": b"-" * 500_000 + b"1",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_known_by_their_punctuation(name: str) -> None:
    """They are detected whatever values they are made of."""
    with pytest.raises(LimitReached, match="too many values") as caught:
        check_serpent(BOMBS[name], 16 * MIB)
    assert caught.value.limit == "max_message_size"


@pytest.mark.parametrize(
    "value",
    [
        "x,[({'" * MIB,
        '"' * MIB,
        "\\" * MIB,
        ["a, b, c"] * 50_000,
        [22.44] * 50_000,
        {f"key {number}": number for number in range(50_000)},
        b"\xff" * MIB,
    ],
)
def test_large_messages_are_not_bombs(value: Any) -> None:
    """Long texts and a hundred thousand values are ordinary."""
    data = serpent.dumps(("Pyro.EventService", "publish", ["a", value], {}))
    assert len(data) > 10 * FEW  # too large to be accepted unchecked
    check_serpent(data, 16 * MIB)


@settings(deadline=None, max_examples=30)
@given(st.recursive(st.text() | st.integers() | st.floats(), st.lists))
def test_small_messages_are_never_refused(value: Any) -> None:
    """Up to a certain size nothing is counted at all, whatever the limit."""
    data = serpent.dumps(value)
    assume(len(data) <= FEW)
    check_serpent(data, 0)


def test_what_counts_as_small() -> None:
    """A message with FEW marks is small, one with more is not."""
    check_serpent(b"," * FEW, 0)
    with pytest.raises(LimitReached):
        check_serpent(b"," * (FEW + 1), 0)


@pytest.mark.parametrize("text", [b"'\\'", b"'\\", b"'\"", b"''", b"\\", b"'x' "])
def test_counting_is_linear(text: bytes) -> None:
    """Unterminated quotes don't slow the search down."""
    began = time.monotonic()
    with contextlib.suppress(LimitReached):
        check_serpent(text * (16 * MIB // len(text)), 16 * MIB)
    assert time.monotonic() - began < 10


def test_a_publisher_gets_a_hint(engine: Make) -> None:
    """A message of too many values is a ValueError; the limit grows with max_message_size."""
    message = list(range(100_000))
    running = engine(max_message_size=2 * MIB)
    with proxy(running.uri) as es, pytest.raises(ValueError, match="use msgpack"):
        es.publish("a", message)
    assert running.statistics()["refusals"]["max_message_size"] == 1
    with proxy(running.uri, "msgpack") as es:
        es.publish("a", message)
    with proxy(engine().uri) as es:
        es.publish("a", message)


@pytest.mark.parametrize("name", ["list", "nested", "sum"])
def test_a_bomb_costs_neither_time_nor_memory(process: Start, name: str) -> None:
    """A service that gets one serves others at once and stays small."""
    es = process("-m", "pyro_events", "-N")
    port = int(es.first_line.split()[0].rpartition(":")[2])
    call = f"('{EVENTSERVICE_NAME}','publish',['a',".encode() + BOMBS[name] + b"],{})"
    with WireClient(port) as client:
        client.greet()
        client.call("statistics")
        before, began = largest(es.pid), time.monotonic()
        client.send(framing.INVOKE, call, seq=9, serializer=framing.SERPENT)
        answer = client.frame()
        assert answer is not None
        assert answer.flags & framing.EXCEPTION
        assert b"too many values" in answer.data
        assert time.monotonic() - began < 10
        assert largest(es.pid) - before < 20_000_000


EMPTY = 3 * MIB
MSGPACK_BOMBS = {
    "dicts": b"\xdd" + EMPTY.to_bytes(4, "big") + b"\x80" * EMPTY,
    "lists": b"\xdd" + EMPTY.to_bytes(4, "big") + b"\x90" * EMPTY,
    "claims": (b"\xdd" + (4 * MIB).to_bytes(4, "big")) * 500 + b"\xc0" * 4 * MIB,
}


@pytest.mark.parametrize("name", MSGPACK_BOMBS)
@pytest.mark.parametrize("mark", [b"", b"\xc7\x00\x01"], ids=["plain", "tagged"])
def test_a_message_of_empty_containers_is_not_built(name: str, mark: bytes) -> None:
    """Messages for subscribers that want dicts are unpacked in the service, but not these."""
    body = b"\x92" + (mark or b"\xc0") + MSGPACK_BOMBS[name]
    tracemalloc.start()
    try:
        group = Encoder().group([("a", 1.0, body, False)], Variant(as_dict=True, msgpack=True))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert group.serializer == UNENCODABLE
    assert peak < 8 * len(body) + 4 * MIB


@pytest.mark.parametrize("name", MSGPACK_BOMBS)
def test_an_answer_of_empty_containers_is_not_built(name: str) -> None:
    """A daemon that answers with them counts as broken."""
    frame = Frame(framing.RESULT, framing.MSGPACK, framing.BATCH, 1, b"", MSGPACK_BOMBS[name])
    with pytest.raises(ProtocolError):
        batch_outcome(frame, 5)


def test_large_messages_with_few_containers_are_not_bombs() -> None:
    """What counts are lists and dicts, not bytes that look like them."""
    texts: list[Any] = [["x", "\u0410" * MIB], [b"\x80" * MIB], list(range(300_000))]
    for message in (*texts, [{}] * 999):
        check_msgpack(pack(message), 1000)
    with pytest.raises(LimitReached):
        check_msgpack(pack([{}] * 1000), 1000)


def test_large_texts_with_few_containers_are_not_bombs() -> None:
    """What counts in json are lists and dicts, not brackets inside strings."""
    messages: list[list[Any]] = [["[{" * MIB], ['\\"[' * MIB], list(range(300_000)), [{}] * 999]
    for message in messages:
        check_json(json.dumps(message).encode(), 1000)
    with pytest.raises(LimitReached):
        check_json(json.dumps([{}] * 1000).encode(), 1000)


@pytest.mark.parametrize("serializer", [framing.JSON, framing.MSGPACK])
def test_a_request_of_empty_containers_is_not_built(serializer: int) -> None:
    """A stock client's message may have a hundred thousand of them, not millions."""
    data = b"[" * EMPTY if serializer == framing.JSON else MSGPACK_BOMBS["lists"]
    frame = Frame(framing.INVOKE, serializer, 0, 1, b"", data)
    with pytest.raises(LimitReached, match="131072 lists and dicts"):
        decode_request(frame, trusted=False, max_message_size=16 * MIB)


@pytest.mark.parametrize(
    "start", [b"\xdc\x03\xe8", b"\xdd\x00\x00\x03\xe8", b"\xdf\x00\x00\x01\xf0"]
)
def test_a_short_request_that_claims_much_takes_little(start: bytes) -> None:
    """It isn't checked beforehand: its lists take 3 MB at most, however deep."""
    data = (start * 1000)[:1000]
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"."):
            decode_request(
                Frame(framing.INVOKE, framing.MSGPACK, 0, 1, b"", data),
                trusted=False,
                max_message_size=16 * MIB,
            )
        assert tracemalloc.get_traced_memory()[1] < 3 * MIB
    finally:
        tracemalloc.stop()


def largest(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_a_subscriber_that_answers_with_a_bomb() -> None:
    """Its daemon counts as broken; nothing is decoded."""
    with pytest.raises(ProtocolError, match="too many values"):
        batch_outcome(
            Frame(framing.RESULT, framing.SERPENT, framing.BATCH, 1, b"", BOMBS["list"]), 5
        )
