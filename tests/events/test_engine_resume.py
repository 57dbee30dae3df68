"""Streams whose connection breaks, and which continue where it broke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyro_events.codec import pack, unpack
from tests.events.service_harness import Running, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Connect, Make


def publish(running: Running, subject: str, *messages: Any) -> None:
    with proxy(running.uri) as es:
        for message in messages:
            es.publish(subject, message)


def messages(events: list[Any]) -> list[Any]:
    return [unpack(body) for _, _, body, _ in events]


def test_a_stream_resumes_where_it_broke(engine: Make, wire_client: Connect) -> None:
    """What was not received is pushed again after a reconnect: nothing is lost or duplicated."""
    running = engine()
    client = wire_client(running)
    incarnation = client.attach("id", ["a"])["incarnation"]
    for number in range(6):
        publish(running, "a", number)
    got = [client.push() for _ in range(3)]
    assert messages(got[1][1]) == [1]
    client.sock.close()
    eventually(lambda: running.subscriber()["state"] == "away")
    publish(running, "a", 6)
    again = wire_client(running)
    answer = again.attach("id", ["a"], last=2, last_incarnation=incarnation)
    published = answer.pop("published")
    assert answer == {"incarnation": incarnation, "resumed": True, "next": 3, "missed": 0}
    assert published == 7
    numbers: list[int] = []
    found: list[int] = []
    while len(found) < 5:
        first, events = again.push()
        assert first is not None
        numbers.append(first)
        found += messages(events)
        again.ack(first + len(events) - 1)
    assert found == [2, 3, 4, 5, 6]
    assert numbers[0] == 3
    eventually(lambda: running.subscriber()["queued"] == 0)
    assert running.subscriber()["delivered"] == 7


def test_resuming_in_the_middle_of_a_frame(engine: Make, wire_client: Connect) -> None:
    """`last` may lie within a frame."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["a"])
    client.call("publish_batch", "p", 1, [[["a"], pack(n), False] for n in range(10)])
    client.sock.close()
    again = wire_client(running)
    answer = again.attach("id", ["a"], last=4, last_incarnation=running.engine.incarnation)
    assert (answer["resumed"], answer["next"]) == (True, 5)
    assert messages(again.events(6)) == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "options",
    [
        {"last": None},
        {"last": 1, "last_incarnation": "another"},
        {"last": 99, "last_incarnation": ...},
        {"last": 0, "last_incarnation": ...},
    ],
)
def test_a_stream_that_can_not_resume_starts_afresh(
    engine: Make, wire_client: Connect, options: dict[str, Any]
) -> None:
    """Another incarnation, or unknown numbers, mean a fresh start, which the answer reports."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["a"])
    publish(running, "a", 1, 2)
    client.events(2)
    eventually(lambda: running.subscriber()["delivered"] == 2)
    if options.get("last_incarnation") is ...:
        options = {**options, "last_incarnation": running.engine.incarnation}
    again = wire_client(running)
    answer = again.attach("id", ["a"], **options)
    assert (answer["resumed"], answer["next"], answer["missed"]) == (False, 1, None)
    publish(running, "a", 3)
    assert messages(again.events(1)) == [3]
    assert len(running.subscriptions()) == 1


def test_a_second_connection_takes_the_stream_over(engine: Make, wire_client: Connect) -> None:
    """A client that reconnects before the break is noticed takes over from its old connection."""
    running = engine()
    client, again = wire_client(running), wire_client(running)
    client.attach("id", ["a"])
    publish(running, "a", 1)
    client.events(1)
    answer = again.attach("id", ["a"], last=1, last_incarnation=running.engine.incarnation)
    assert answer["resumed"]
    assert client.frame() is None
    publish(running, "a", 2)
    assert messages(again.events(1)) == [2]
    assert running.subscriber()["state"] == "connected"


def test_a_stream_that_stays_away_is_dropped(
    engine: Make, wire_client: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """After the grace the mailbox goes; what was in it is counted and logged."""
    running = engine(reconnect_grace=0.2)
    client = wire_client(running)
    client.attach("id", ["subject.x"], name="display")
    publish(running, "subject.x", 1)
    client.sock.close()
    eventually(lambda: running.statistics()["connections"] == 0)
    publish(running, "subject.x", 2)
    eventually(lambda: running.subscriptions() == [])
    assert running.statistics()["dropped"] == 2
    assert "display" in caplog.text
    again = wire_client(running)
    answer = again.attach("id", ["a"], last=0, last_incarnation=running.engine.incarnation)
    assert answer["resumed"] is False
