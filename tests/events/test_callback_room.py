"""What a callback helper holds: few events and few bytes, and the rest waits by the rules."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from pyro_events import Publisher, codec
from pyro_events._client.receiving.backlog import Backlog, ReceivedCall
from pyro_events._client.receiving.inbox import Inbox
from pyro_events._protocol.event import Event
from pyro_events._protocol.numbering import ANNOTATION, Numbers, is_numbered
from pyro_events.errors import Closed
from tests.events.client_fixtures import Recording
from tests.events.test_subscriber import Sample
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Make

pytestmark = pytest.mark.usefixtures("tidy")


def call(first: int, count: int, series: bytes = b"a" * 8, size: int = 10) -> ReceivedCall:
    made = ReceivedCall(Numbers(series, first, count, size))
    made.events += [Event("a", number, 0.0) for number in range(first, first + count)]
    return made


def messages(inbox: Inbox) -> list[Any]:
    found: list[Any] = []
    for delivery in list(inbox.items):
        events = delivery.open()  # type: ignore[union-attr] # nothing else is put
        found += [event.msg for event in events if isinstance(event, Event)]
        delivery.handled(len(events))  # type: ignore[union-attr] # the same
    return found


def test_each_number_is_taken_once() -> None:
    """Whatever part of a call came before, in whatever series, the rest of it is taken."""
    inbox = Inbox()
    backlog = Backlog(inbox, 1000)
    for each in (call(1, 3), call(1, 3), call(2, 4), call(1, 1), call(1, 2, b"b" * 8), call(6, 1)):
        backlog.take(each)
    assert messages(inbox) == [1, 2, 3, 4, 5, 1, 2, 6]
    for number in range(20):
        backlog.take(call(1, 1, bytes([number] * 8)))
        messages(inbox)
    assert len(backlog._received) < 20


@pytest.mark.parametrize(
    ("queue_size", "count", "size", "waits"),
    [
        (None, 8, 10, False), (None, 9, 10, True), (1000, 9, 10, True),
        (1, 1, 10, True), (2, 1, 10, False), (None, 1, 5 << 20, True),
    ],
)  # fmt: skip
def test_a_call_is_answered_when_there_is_room(
    queue_size: int | None, count: int, size: int, waits: bool
) -> None:
    """That depends on the events and the bytes that aren't handled; handling makes room."""
    inbox = Inbox()
    backlog = Backlog(inbox, queue_size)
    thread = threading.Thread(target=backlog.take, args=(call(1, count, size=size),))
    thread.start()
    if waits:
        eventually(lambda: bool(inbox.items))
        assert thread.is_alive()
        assert len(messages(inbox)) == count
    thread.join(10)
    assert not thread.is_alive()
    assert messages(inbox)


def test_the_next_call_and_the_end_release_the_one_that_waits() -> None:
    """So no thread waits for a connection that is gone."""
    backlog = Backlog(Inbox(), 1)
    threads = [threading.Thread(target=backlog.take, args=(call(1, 1),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: sum(thread.is_alive() for thread in threads) == 1)
    backlog.close()
    for thread in threads:
        thread.join(10)
    with pytest.raises(Closed):
        backlog.take(call(2, 1))


def test_annotations_are_found_among_others() -> None:
    """Daemons may send annotations of their own."""
    ours = ANNOTATION.encode() + bytes(4)
    other = b"ABCD\0\0\0\2xy"
    assert is_numbered(other + ours)
    assert not is_numbered(other)
    assert not is_numbered(b"")


def test_the_latest_only(engine: Make) -> None:
    """With `queue_size=1` the next event is the newest one, however many came meanwhile."""
    es, gate = engine(), threading.Semaphore(0)
    options: dict[str, Any] = {"queue_size": 1, "when_full": "drop-oldest"}
    with Recording(es.uri, delivery="callback", **options) as sub, Publisher(es.uri) as pub:
        sub.on_event = lambda _event: gate.acquire(timeout=20)
        sub.subscribe("a")
        sub.start()
        for number in range(100):
            pub.publish("a", number)
        assert sub.wait(1) == [0]
        gate.release()
        assert sub.wait(2) == [0, 99]
        gate.release()
        eventually(lambda: es.subscriber()["queued"] == 0)
        assert sum(gap["missed"] or 0 for gap in sub.gaps()) == 98


def test_large_messages_wait_at_the_event_service(engine: Make) -> None:
    """A helper that doesn't listen holds a few megabytes, whatever is published."""
    es = engine(when_full="drop-oldest")
    with Recording(es.uri, delivery="callback") as sub, Publisher(es.uri) as pub:
        sub.subscribe("a")
        for _ in range(60):
            pub.publish("a", bytes(1 << 20))
        held: Any = sub._subscription
        assert 0 < held._backlog._bytes < 7 << 20
        sub.start()
        eventually(lambda: es.subscriber()["queued"] == 0)
        missed = sum(gap["missed"] or 0 for gap in sub.gaps())
        assert len(sub.wait(60 - missed)) + missed == 60


def test_a_message_that_cannot_be_decoded_is_a_gap(engine: Make) -> None:
    """It is reported as over a stream, and the events around it arrive."""
    es, other = engine(), codec.Codec()
    other.register(Sample, f"lab.{uuid4().hex}", lambda s: {"v": s.value}, lambda d: Sample(d["v"]))
    with Recording(es.uri, delivery="callback") as sub, Publisher(es.uri) as pub:
        sub.subscribe("a")
        sub.start()
        pub.publish("a", 1)
        pub._sender.publish((("a",), other.pack(Sample(2)), False), 10)
        pub.publish("a", 3)
        assert sub.wait(2) == [1, 3]
        (gap,) = sub.gaps()
        assert (gap["missed"], gap["reason"], gap["subject"]) == (1, "undecodable", "a")
        assert sub.statistics()["undecodable"] == 1
        eventually(lambda: es.subscriber()["delivered"] == 3)
