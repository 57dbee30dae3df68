"""Delivery over the subscriber's own connection, seen byte by byte."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from pyro_events.codec import pack, unpack
from pyro_wire import framing
from tests.events.service_harness import Running, WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Connect, Make


def publish(running: Running, subject: str, *messages: Any) -> None:
    with proxy(running.uri) as es:
        for message in messages:
            es.publish(subject, message)


def messages(events: list[Any]) -> list[Any]:
    return [unpack(body) for _, _, body, _ in events]


def test_the_greeting_of_helpers(engine: Make) -> None:
    """A helper learns incarnation and version in the handshake."""
    running = engine()
    with WireClient(running.port) as client:
        frame = client.greet()
    assert frame.type == framing.CONNECTOK
    assert msgpack.unpackb(frame.data)["handshake"] == {
        "pyro_events": 2,
        "incarnation": running.engine.incarnation,
        "version": "0.test",
    }


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        ({"pyro_events": 3}, "version 2 of the helpers' protocol, not 3: install"),
        ({"pyro_events": 1, "ident": None}, "not 1: install the same version of pyroctl for both"),
        ({"pyro_events": 1, "ident": "secret"}, "make a new identification, too"),
        ({"pyro_events": 2}, "give the helper ident=read_ident"),
        ({"pyro_events": 2, "name": "", "nonce": None}, "give the helper ident=read_ident"),
    ],
)
def test_helpers_that_are_refused(engine: Make, greeting: object, reason: str) -> None:
    """Another protocol version and a missing identification get the reason, and a hang-up."""
    with WireClient(engine(ident="secret").port) as client:
        frame = client.greet(greeting)
        assert frame.type == framing.CONNECTFAIL
        assert reason in msgpack.unpackb(frame.data)
        assert client.frame() is None


def test_events_are_pushed_with_their_numbers(engine: Make, wire_client: Connect) -> None:
    """Events come as [subject, time, body, opaque], numbered from 1 on."""
    running = engine()
    client = wire_client(running)
    answer = client.attach("id", ["Stock"], ["^A"], name="wall display")
    assert answer == {
        "incarnation": running.engine.incarnation,
        "resumed": False,
        "next": 1,
        "missed": None,
        "published": 0,
    }
    publish(running, "STOCK", 1, ("x",))
    publish(running, "abc", 3)
    events = client.events(3)
    assert [event[0] for event in events] == ["STOCK", "STOCK", "abc"]
    assert messages(events) == [1, ("x",), 3]
    assert [event[3] for event in events] == [False] * 3
    (entry,) = running.subscriptions()
    assert (entry["subscriber"], entry["kind"], entry["aware"]) == ("wall display", "stream", True)
    eventually(lambda: running.subscriber()["delivered"] == 3)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("id", [], [], {"colour": 1}), "colour"),
        (("id", [], [], {"queue_size": 0}), "queue_size"),
        (("id", [], [], {"once": 5}), "once"),
        (("id", [], [], {"last": "x"}), "last"),
        (("id", [], [], {"name": 5}), "name"),
        (("id", [], [], None), "options"),
        ((5, [], [], {}), "subscriber_id"),
        (("id", [""], [], {}), "subject"),
        (("id", [], ["("], {}), "pattern"),
    ],
)
def test_bad_attaches(engine: Make, wire_client: Connect, arguments: Any, name: str) -> None:
    """The error of an attach names what is wrong, and nothing is attached."""
    running = engine()
    client = wire_client(running)
    with pytest.raises((TypeError, ValueError), match=name):
        client.call("attach", *arguments)
    assert running.subscriptions() == []
    client.attach("id")
    with pytest.raises(ValueError, match="already"):
        client.attach("id")


def test_calls_without_a_stream(engine: Make, wire_client: Connect) -> None:
    """Stream methods on another kind of connection raise ValueError."""
    client = wire_client(engine())
    calls: list[tuple[Any, ...]] = [
        ("stream_subscribe", ["a"], []),
        ("stream_unsubscribe", ["a"]),
        ("detach",),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="not a stream"):
            client.call(*call)


def test_subscriptions_of_a_stream_change(engine: Make, wire_client: Connect) -> None:
    """A stream subscribes and unsubscribes while it runs, and detaches for good."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["a"])
    client.call("stream_subscribe", ["b"], ["^c"], None)
    publish(running, "b", 1)
    publish(running, "cd", 2)
    client.call("stream_unsubscribe", ["B", "^c", "never"])
    publish(running, "b", 3)
    publish(running, "a", 4)
    assert messages(client.events(3)) == [1, 2, 4]
    client.call("stream_subscribe", ["ab"], ["a", "ab"], True)
    publish(running, "ab", 5)
    assert messages(client.events(1)) == [5]
    client.call("detach")
    client.ack(5)  # handled late, not a reason to hang up
    assert running.subscriptions() == []
    publish(running, "a", 6)
    assert client.attach("id", ["a"])["resumed"] is False
    publish(running, "a", 7)
    assert messages(client.events(1)) == [7]


def test_the_window_bounds_what_is_under_way(engine: Make, wire_client: Connect) -> None:
    """At most four frames are unacknowledged; the next leaves when one is acknowledged."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["a"])
    for number in range(6):
        publish(running, "a", number)
    pushes = [client.push() for _ in range(4)]
    assert [(first, messages(events)) for first, events in pushes] == [
        (n + 1, [n]) for n in range(4)
    ]
    with pytest.raises(TimeoutError):
        client.push(timeout=0.2)
    assert running.subscriber()["queued"] == 6
    client.ack(1)
    first, events = client.push()
    assert (first, messages(events)) == (5, [4, 5])
    client.ack(6)
    eventually(lambda: running.subscriber()["queued"] == 0)
    assert running.subscriber()["delivered"] == 6


def test_frames_are_bounded(engine: Make, wire_client: Connect) -> None:
    """No frame has more than 250 events or, unless it is a single one, 256 KiB."""
    running = engine(queue_size=5000)
    client = wire_client(running)
    client.attach("id", ["a"])
    small = [[["a"], pack(n), False] for n in range(2000)]
    large = [[["a"], pack("x" * 100_000), False]] * 9 + [[["a"], pack("x" * 900_000), False]]
    client.start("publish_batch", "p", 1, small + large)
    counts: list[int] = []
    sizes: list[int] = []
    while sum(counts) < 2010:
        first, events = client.push()
        assert first is not None
        counts.append(len(events))
        sizes.append(sum(len(body) for _, _, body, _ in events))
        client.ack(first + len(events) - 1)
    assert max(counts) <= 250
    assert all(size <= 256 << 10 or count == 1 for count, size in zip(counts, sizes, strict=True))


@pytest.mark.parametrize("data", [b"", b"\0" * 7, (99).to_bytes(8, "big"), b"\xff" * 8])
def test_nonsense_for_an_acknowledgement(engine: Make, wire_client: Connect, data: bytes) -> None:
    """A client that acknowledges what was never sent is hung up on."""
    client = wire_client(engine())
    client.attach("id", ["a"])
    client.send(framing.RESULT, data)
    assert client.frame() is None


def test_a_gap_is_reported_where_it_is(engine: Make, wire_client: Connect) -> None:
    """The number of events that a full queue dropped comes before the next ones."""
    running = engine(patience=0.0)
    client = wire_client(running)
    client.attach("id", ["a"], queue_size=4, when_full="drop-oldest")
    for number in range(10):
        publish(running, "a", number)
    pushes = [client.push() for _ in range(2)]
    assert [messages(events) for _, events in pushes] == [[0], [1]]
    client.ack(2)
    assert client.push() == (None, {"kind": "gap", "missed": 6, "reason": "full"})
    first, events = client.push()
    assert (first, messages(events)) == (3, [8])
    assert running.statistics()["dropped"] == 6


def test_a_gap_while_away_is_reported_at_the_attach(engine: Make, wire_client: Connect) -> None:
    """`missed` is the number of events that a full queue dropped in between."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["a"], queue_size=3, when_full="drop-newest")
    client.sock.close()
    eventually(lambda: running.subscriber()["state"] == "away")
    publish(running, "a", *range(5))
    again = wire_client(running)
    answer = again.attach("id", ["a"], last=0, last_incarnation=running.engine.incarnation)
    assert (answer["resumed"], answer["missed"]) == (True, 2)
    assert messages(again.events(3)) == [0, 1, 2]


def test_silent_streams_are_pinged_and_given_up(engine: Make, wire_client: Connect) -> None:
    """An idle stream is pinged; one that doesn't answer is given up, with its mailbox kept."""
    running = engine(ping_after=0.1, silence=0.5)
    silent, alive = wire_client(running), wire_client(running)
    silent.attach("1", ["a"], name="silent")
    alive.attach("2", ["a"], name="alive")
    pings = 0
    while pings < 8:
        frame = alive.frame()
        assert frame is not None
        assert (frame.type, frame.data) == (framing.PING, b"ping")
        alive.send(framing.PING, b"pong", seq=frame.seq)
        pings += 1
    states = {entry["subscriber"]: entry["state"] for entry in running.subscriptions()}
    assert states == {"silent": "away", "alive": "connected"}


def test_a_stopping_service_notifies_streams(engine: Make, wire_client: Connect) -> None:
    """Streams get all waiting events, and the notice with its reason, before the end."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["a"])
    publish(running, "a", *range(3))
    running.engine.stop("maintenance")
    assert messages(client.events(3)) == [0, 1, 2]
    assert client.push() == (None, {"kind": "stopping", "reason": "maintenance"})
    assert client.push() == (None, {"kind": "complete", "last": 3})
    assert client.frame() is None
    client.sock.close()
    running.thread.join(5)
    assert not running.thread.is_alive()


def test_a_suspended_pattern_is_pushed(engine: Make, wire_client: Connect) -> None:
    """The owner of a pattern that takes too long is notified over its stream."""
    running = engine()
    client = wire_client(running)
    client.attach("id", [], [r"(a|a)*$"])
    for number in range(6):
        publish(running, "a" * 40 + f"!{number}", number)
    for suspended in (False, True):
        assert client.push() == (
            None,
            {"kind": "pattern", "pattern": "(a|a)*$", "reason": "pattern", "suspended": suspended},
        )


def test_many_patterns_take_one_notice(engine: Make, wire_client: Connect) -> None:
    """It lists them all; each is counted."""
    running = engine()
    client = wire_client(running)
    texts = [f"(a|a)*(?#{number})$" for number in range(200)]
    client.attach("id", [], texts)
    publish(running, "a" * 40 + "!", 1)
    _, notice = client.push()
    assert set(notice["patterns"]) == set(texts)
    assert notice["pattern"] == notice["patterns"][0]
    assert not notice["suspended"]
    assert running.subscriber()["unmatched"] == 200


def test_stock_calls_work_on_a_stream(engine: Make, wire_client: Connect) -> None:
    """A stream's connection also serves the ordinary methods."""
    client = wire_client(engine())
    client.attach("id", ["a"])
    client.call("publish", "a", 5)
    assert messages(client.events(1)) == [5]
    assert client.call("statistics")["published"] == 1
    with pytest.raises(AttributeError, match="no exposed"):
        client.call("nonsense")


def test_half_a_frame_then_the_rest(engine: Make, wire_client: Connect) -> None:
    """A request may come in pieces."""
    client = wire_client(engine())
    data = msgpack.packb(["Pyro.EventService", "statistics", [], {}])
    frame = framing.encode_frame(framing.INVOKE, 4, 0, 5, data)
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(frame), 9):
        client.sock.sendall(frame[start : start + 9])
    assert client.finish(5)["published"] == 0
