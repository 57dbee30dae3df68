"""Streams, publishers and subscriptions belong to the client that has made them: attacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgpack
import pytest

from pyro_events import Publisher
from pyro_events._broker.principal import Principal
from tests.events.client_fixtures import Recording
from tests.events.service_harness import STRANGER, Recorder, WireClient, proxy
from tests.events.test_engine_limits import refusals
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.held_service import HeldService
    from tests.events.service_harness import Connect, Make, Running, Stock


def make_other_users(running: Running) -> None:
    """Take clients from the other address for those of another user."""
    owners = running.engine._owners
    real = owners.peer_user
    owners.peer_user = lambda sock: 7 if sock.getpeername()[0] == STRANGER else real(sock)  # type: ignore[method-assign] # root alone could be another user


def batch(*numbers: int) -> list[Any]:
    return [[["a"], msgpack.packb(number), False] for number in numbers]


def messages(events: list[Any]) -> list[Any]:
    return [msgpack.unpackb(event[2]) for event in events]


def test_a_stream_is_not_given_to_another_client(
    engine: Make, wire_client: Connect, stranger: Callable[[str], WireClient]
) -> None:
    """A client that knows its id takes nothing, and closes nobody's connection."""
    running = engine()
    owner, thief = wire_client(running), stranger(running.uri)
    incarnation = owner.attach("the id", ["a"])["incarnation"]
    thief.call("publish_batch", "p", 1, batch(1))
    owner.events(1, ack=False)
    for last in (None, 0):
        with pytest.raises(PermissionError, match="not yours"):
            thief.attach("the id", ["a"], last=last, last_incarnation=incarnation)
    thief.call("publish_batch", "p", 2, batch(2))
    assert messages(owner.events(1)) == [2]
    assert refusals(running) == {"owner": 2}


def test_no_list_shows_the_id_of_a_stream(
    engine: Make, wire_client: Connect, stranger: Callable[[str], WireClient]
) -> None:
    """A stream without a name is listed under a hash, also for its owner and the manager."""
    running = engine()
    owner, other = wire_client(running), stranger(running.uri)
    owner.attach("the id", ["a"])
    shown = [client.call("subscriptions") for client in (owner, other)]
    shown.append(running.subscriptions())
    assert shown[0] == shown[1] == shown[2]
    assert "the id" not in str(shown)
    assert shown[0][0]["subscriber"].startswith("stream-")


@pytest.mark.parametrize("delivery", ["stream", "callback"])
def test_a_helper_that_is_another_client_now_begins_again(
    engine: Make, delivery: Literal["stream", "callback"]
) -> None:
    """A laptop that moves to another address reports a gap of unknown size, and goes on."""
    running = engine()
    helper = Recording(running.uri, delivery=delivery)
    with helper, Publisher(running.uri) as publisher:
        helper.subscribe("a")
        helper.start()
        publisher.publish("a", 1)
        helper.wait(1)

        def move() -> None:
            (subscriber,) = running.engine.broker.subscribers()
            subscriber.owner = Principal("address", "10.0.0.9")
            for session in running.engine._sessions:
                session.connection.close("moved")

        running.engine.ask(move).result(5)
        eventually(lambda: len(helper.gaps()) == 1)
        assert helper.gaps()[0]["missed"] is None
        publisher.publish("a", 2)
        assert helper.wait(2) == [1, 2]


def test_the_id_of_a_publisher_is_of_no_use_to_another_client(
    engine: Make, wire_client: Connect, stranger: Callable[[str], WireClient]
) -> None:
    """With a huge number, a stranger makes none of its events count as repeated."""
    running = engine()
    subscriber, honest = wire_client(running), wire_client(running)
    thief = stranger(running.uri)
    subscriber.attach("s", ["a"])
    honest.call("publish_batch", "sniffed", 1, batch(1))
    thief.call("publish_batch", "sniffed", 1 << 60, batch(2))
    for number in (3, 4):
        honest.call("publish_batch", "sniffed", number - 1, batch(number))
    assert messages(subscriber.events(4)) == [1, 2, 3, 4]


def test_one_connection_is_for_few_publishers(
    engine: Make, wire_client: Connect, stranger: Callable[[str], WireClient]
) -> None:
    """Nobody pushes the number of a connected publisher out of the table: no event comes twice."""
    running = engine(max_publishers=40)
    make_other_users(running)
    subscriber, honest = wire_client(running), wire_client(running)
    subscriber.attach("s", ["a"])
    honest.call("publish_batch", "honest", 1, batch(1))
    for connection in range(5):
        flood = stranger(running.uri)
        for number in range(6):
            flood.call("publish_batch", f"{connection}-{number}", 1, batch(0))
    with pytest.raises(ValueError, match="in use"):
        stranger(running.uri).call("publish_batch", "one too many", 1, batch(0))
    flood.sock.close()
    eventually(lambda: running.statistics()["connections"] == 7)
    stranger(running.uri).call("publish_batch", "in place of an idle one", 1, batch(0))
    honest.call("publish_batch", "honest", 1, batch(1))
    assert messages(subscriber.events(32)) == [1] + [0] * 31
    assert refusals(running) == {"max_publishers": 1}


def test_a_connection_has_at_most_eight_publishers(engine: Make, wire_client: Connect) -> None:
    """More are refused, and counted; the eight still publish."""
    client = wire_client(running := engine())
    for number in range(8):
        client.call("publish_batch", f"p{number}", 1, batch(0))
    with pytest.raises(ValueError, match="at most 8 publishers"):
        client.call("publish_batch", "p8", 1, batch(0))
    client.call("publish_batch", "p7", 2, batch(0))
    assert refusals(running) == {"publishers_per_connection": 1}


def test_a_subscription_is_changed_by_nobody_else(
    engine: Make, stock: Stock, stranger: Callable[[str], WireClient]
) -> None:
    """Another client neither ends nor changes it, and doesn't learn the object's address."""
    running = engine()
    recorder = Recorder()
    uri = stock().register(recorder, "recorder")
    other = stranger(running.uri)
    with proxy(running.uri) as owner:
        owner.subscribe("a", uri)
        for method, *arguments in (
            ("unsubscribe", ["a"], uri),
            ("subscribe", ["b"], uri),
            ("subscribeMatch", ["b"], uri),
            ("remembers", uri, "x"),
        ):
            with pytest.raises(PermissionError, match="not yours") as refused:
                other.call(method, *arguments)
            assert uri not in str(refused.value)
        (listed,) = other.call("subscriptions")
        assert listed["subscriber"].startswith("callback-")
        assert (listed["subjects"], listed["kind"]) == (["a"], "callback")
        assert owner.subscriptions()[0]["subscriber"] == uri
        assert running.subscriber()["subscriber"] == uri
        owner.publish("a", 1)
        eventually(lambda: recorder.messages() == [1])
        owner.unsubscribe("a", uri)
    assert running.subscriptions() == []


def test_one_client_can_not_take_all_subscribers(
    engine: Make, wire_client: Connect, stranger: Callable[[str], WireClient]
) -> None:
    """A quarter of them is left for other users, whatever addresses of its own the client uses.

    A place that is given up can be taken again.
    """
    running = engine(max_subscribers=4)
    greedy = [*(wire_client(running) for _ in range(3)), stranger(running.uri)]
    for number in range(3):
        greedy[number].attach(f"s{number}", ["a"])
    with pytest.raises(ValueError, match="has 3 subscribers, its share"):
        greedy[3].attach("s3", ["a"])
    make_other_users(running)
    stranger(running.uri).attach("other", ["a"])
    greedy[0].call("detach")
    greedy[3].attach("s3", ["a"])


@pytest.mark.parametrize("incident", ["handover", "restart", "crash"])
def test_the_next_process_knows_what_belongs_to_whom(
    held: Callable[..., HeldService],
    client: Callable[[HeldService], WireClient],
    stranger: Callable[[str], WireClient],
    incident: str,
) -> None:
    """After a handover, a planned restart and a crash, strangers are refused as before."""
    es = held()
    owner, publisher = client(es), client(es)
    incarnation = owner.attach("the id", ["a"])["incarnation"]
    publisher.call("publish_batch", "sniffed", 5, batch(1))
    assert messages(owner.events(1)) == [1]
    getattr(es, incident)()
    thief = stranger(es.uri)
    with pytest.raises(PermissionError, match="not yours"):
        thief.attach("the id", ["a"], last=1, last_incarnation=incarnation)
    assert thief.call("publish_batch", "sniffed", 1, batch(2))[1] == 1
    if incident != "handover":
        owner, publisher = client(es), client(es)
        answer = owner.attach("the id", ["a"], last=1, last_incarnation=incarnation)
        assert answer["resumed"]
    assert publisher.call("publish_batch", "sniffed", 5, batch(1))[1] == 5  # it isn't repeated
    publisher.call("publish_batch", "sniffed", 6, batch(3))
    assert messages(owner.events(2)) == [2, 3]
