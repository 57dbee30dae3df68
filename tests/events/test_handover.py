"""A handover: another process continues everything, and no client notices."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import msgpack
import Pyro5.api
import pytest

from pyro_events import Publisher
from pyro_events._client.calls import encode_call
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing
from tests.events.client_fixtures import Recording, all_get_more
from tests.events.held_service import Flood
from tests.events.relay import Relay
from tests.events.service_harness import Recorder, WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.events.held_service import HeldService
    from tests.events.service_harness import Stock

    Held = Callable[..., HeldService]
    Client = Callable[..., WireClient]


def port_of(es: HeldService) -> int:
    return int(es.uri.rpartition(":")[2])


def publish(es: HeldService, *messages: Any) -> None:
    with proxy(es.uri) as remote:
        for message in messages:
            remote.publish("a", message)


def messages(events: list[Any]) -> list[Any]:
    return [msgpack.unpackb(body) for _, _, body, _ in events]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("delivery", "times"),
    [("stream", 4), ("callback", 2), pytest.param("stream", 20, marks=pytest.mark.slow)],
)
def test_handovers_at_full_speed(held: Held, delivery: str, times: int) -> None:
    """Ten subscribers get all events once and in order: no gap, no hook, one incarnation."""
    es = held()
    incarnation = es.ask("ping")["incarnation"]
    with ExitStack() as stack:
        subscribers = [stack.enter_context(Recording(es.uri, delivery=delivery)) for _ in range(10)]
        for each in subscribers:
            each.subscribe("flood")
            each.start()
        flood = stack.enter_context(Flood(es.uri))
        for _ in range(times):
            all_get_more(subscribers)
            es.handover()
            assert es.ask("ping")["incarnation"] == incarnation
        count = flood.stop()
        for each in subscribers:
            first = each.wait(1)[0]
            assert each.wait(count - first, 60) == list(range(first, count))
            assert each.hook_names() == ["connected"]
        statistics = es.ask("statistics")
        assert (statistics["published"], statistics["dropped"]) == (count, 0)


def test_all_answers_stay_the_same(held: Held, stock: Stock, client: Client) -> None:
    """It keeps counters, subscriptions, suspended patterns, options, expected clients, uptime."""
    es, plain, daemon = held(), Recorder(), stock()
    reader = client(es)
    reader.attach("s", ["A", "b"], ["x+$"], queue_size=7, when_full="drop-oldest", once=True)
    with proxy(es.uri) as remote:
        remote.subscribe(["a", "c"], daemon.register(plain), as_dict=True)
        remote.subscribeMatch(r"(a|a)*$", daemon.register(Recorder()))
        for _ in range(3):  # each of them is cut off
            remote.publish("a" * 250 + "!", 0)
        remote.publish("a", 1)
        with pytest.raises(ValueError, match="subject"):
            remote.publish("", 1)
    reader.events(1)
    eventually(lambda: es.ask("statistics")["queued"] == 0)
    before = [es.ask("statistics"), es.ask("subscriptions"), es.ask("returned")]
    es.handover()
    after = [es.ask("statistics"), es.ask("subscriptions"), es.ask("returned")]
    assert any(each["suspended"] for each in before[1])
    assert after[0].pop("handover_seconds") > 0
    for each in (before[0], after[0]):
        each["uptime_s"] = round(each["uptime_s"] / 100)
    assert after == before
    publish(es, 2)
    eventually(lambda: [event["msg"] for event in plain.events] == [1, 2])
    assert messages(reader.events(1)) == [2]


def test_connections_in_any_state_continue(held: Held, client: Client) -> None:
    """Silent, greeted, a stock proxy, half of a greeting, half of a call: each is answered."""
    es = held("-N", "-q", "--handshake-timeout", "60")
    silent, half_greeted, half_called = (client(es, greet=False) for _ in range(3))
    half_called.greet()
    greeting = {"pyro_events": 2, "role": "subscriber"}
    hello = msgpack.packb({"handshake": greeting, "object": EVENTSERVICE_NAME})
    hello = framing.encode_frame(framing.CONNECT, framing.MSGPACK, 0, 0, hello)
    call = encode_call(7, EVENTSERVICE_NAME, "publish", ["a", "x" * 200_000])
    half_greeted.sock.sendall(hello[:50])
    half_called.sock.sendall(call[:150_000])
    with proxy(es.uri) as remote:
        remote.publish("a", 1)
        eventually(lambda: es.ask("statistics")["connections"] == 4)
        es.handover()
        remote.publish("a", 2)
    half_greeted.sock.sendall(hello[50:])
    half_called.sock.sendall(call[150_000:])
    silent.sock.sendall(hello)
    for each in (silent, half_greeted):
        assert each.frame().type == framing.CONNECTOK  # type: ignore[union-attr] # else it fails
    assert half_called.finish(7) is None
    assert es.ask("statistics")["published"] == 3


def test_output_that_a_client_has_not_read_arrives(held: Held, client: Client) -> None:
    """Megabytes under way arrive complete, in order and once, as does what waits behind them."""
    es = held("-N", "-q", "--queue-size", "100")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port_of(es)))
    with WireClient(0, sock) as reader:
        reader.greet()
        reader.attach("s", ["a"])
        sent = [f"{number}" * 1_500_000 for number in range(10, 15)]
        publish(es, *sent)
        for _ in range(3):
            es.handover()
        assert messages(reader.events(5)) == sent
        publish(es, "last")
        assert messages(reader.events(1)) == ["last"]


def test_a_stream_keeps_its_numbers(held: Held, client: Client) -> None:
    """A client that reconnects gets again what it had not acknowledged, and nothing else."""
    es = held()
    first = client(es)
    before = first.attach("s", ["a"])["incarnation"]
    publish(es, *range(4))
    events = first.events(4, ack=False)
    first.ack(2)
    eventually(lambda: es.ask("statistics")["delivered"] == 2)
    es.handover()
    first.ack(3)
    eventually(lambda: es.ask("statistics")["delivered"] == 3)
    first.sock.close()
    eventually(lambda: es.ask("subscriptions")[0]["state"] == "away")
    publish(es, "away")
    es.handover()
    second = client(es)
    answer = second.attach("s", ["a"], last=3, last_incarnation=before)
    assert (answer["resumed"], answer["next"], answer["missed"]) == (True, 4, 0)
    again = second.events(2)
    assert again[:1] == events[3:]
    assert messages(again[1:]) == ["away"]


def test_a_publisher_that_waits_gets_its_answer(held: Held, client: Client) -> None:
    """One held by a full queue is released, a repeated batch is known, and nothing is lost."""
    es = held("-N", "-q", "--patience", "60", "--stuck-timeout", "60", "--queue-size", "5")
    reader, other = client(es), client(es)
    reader.attach("s", ["a"])
    batch = [[["a"], msgpack.packb(number), False] for number in range(3000)]
    mine = reader.start("publish_batch", "me", 1, batch)
    its = other.start("publish_batch", "it", 1, batch)
    late = other.start("publish", "a", "late")
    eventually(lambda: es.ask("statistics")["held"] == 2)
    es.handover()
    incarnation = es.ask("ping")["incarnation"]
    assert reader.finish(mine) == [incarnation, 3000]
    assert other.finish(its) == [incarnation, 3000]
    got = messages(reader.events(6001))
    assert other.finish(late) is None
    assert other.call("publish_batch", "it", 1, batch[:10]) == [incarnation, 3000]
    assert sorted(got[:-1]) == sorted([*range(3000)] * 2)
    assert got[-1] == "late"
    assert es.ask("statistics")["dropped"] == 0
    blocked = other.start("publish_batch", "it", 3001, batch)
    eventually(lambda: es.ask("statistics")["held"] == 1)
    assert len(reader.events(3000)) == 3000
    other.finish(blocked)


def test_a_publisher_helper_waits_for_its_acknowledgement(held: Held) -> None:
    """A `publish` under way in both processes returns once, and its event arrives once."""
    es = held()
    with Publisher(es.uri) as publisher, Recording(es.uri) as subscriber:
        subscriber.subscribe("a")
        subscriber.start()
        relay = Relay(es, "state")
        thread = threading.Thread(target=publisher.publish, args=("a", 1))
        thread.start()
        relay.resume()
        es.see_off()
        es.become(relay.started)
        thread.join(10)
        assert not thread.is_alive()
        publisher.publish("a", 2)
        assert subscriber.wait(2) == [1, 2]
        assert subscriber.hook_names() == ["connected"]


def test_one_closes_while_both_have_its_descriptor(held: Held, client: Client) -> None:
    """The new process sees the end that the old one has not read."""
    es = held()
    going, staying = client(es), client(es)
    going.attach("going", ["a"])
    staying.attach("staying", ["a"])
    relay = Relay(es, "state")
    going.sock.close()
    relay.resume()
    es.see_off()
    es.become(relay.started)
    eventually(lambda: [s["state"] for s in es.ask("subscriptions")] == ["away", "connected"])
    publish(es, 1)
    assert messages(staying.events(1)) == [1]


@pytest.mark.timeout(120)
def test_a_thousand_connections(held: Held, client: Client) -> None:
    """Descriptors go in portions; every connection is served by the new process."""
    es = held()
    readers = [client(es) for _ in range(1000)]
    for number, each in enumerate(readers):
        each.attach(f"s{number}", ["a"])
    publish(es, 1)
    es.handover()
    assert es.ask("statistics")["subscribers"] == 1000
    publish(es, 2)
    for each in readers:
        assert messages(each.events(2)) == [1, 2]


def test_the_roster_continues(held: Held, client: Client) -> None:
    """After a handover, a kill loses no more than otherwise: the numbers are right."""
    es = held()
    first = client(es)
    before = first.attach("s", ["a"])["incarnation"]
    publish(es, *range(3))
    first.events(3)
    es.handover()
    assert sorted(path.name for path in es.state.iterdir()) == ["roster", f"tallies-{before}"]
    other = client(es)
    other.attach("t", ["b"])
    publish(es, *range(2))
    first.events(1, ack=False) if first.pushes else first.push()
    es.crash()
    second = client(es)
    answer = second.attach("s", ["a"], last=3, last_incarnation=before)
    assert (answer["resumed"], answer["missed"]) == (True, 2)
    assert es.ask("returned") == {"expected": 2, "back": 1}


@pytest.mark.parametrize("holds", [True, False])
def test_a_unix_socket_keeps_its_file(held: Held, tmp_path: Path, holds: bool) -> None:
    """The old process doesn't remove the file, and old and new clients are served."""
    path = tmp_path / "s"
    es = held(path=path, holds=holds)
    with Publisher(es.uri) as publisher, Recording(es.uri) as subscriber:
        subscriber.subscribe("a")
        subscriber.start()
        for number in range(3):
            publisher.publish("a", number)
            es.handover()
            assert path.is_socket()
        with Publisher(es.uri) as other:
            other.publish("a", 3)
        assert subscriber.wait(4) == [0, 1, 2, 3]
    es.close()
    assert path.exists() is holds


def test_without_a_state_directory(held: Held, client: Client) -> None:
    """The numbers are handed over, too, and nothing is written."""
    es = held(state=False)
    reader = client(es)
    reader.attach("s", ["a"])
    for number in range(3):
        publish(es, number)
        es.handover()
    assert messages(reader.events(3)) == [0, 1, 2]


def test_the_name_stays_registered(held: Held, name_server: str) -> None:
    """The new process holds the name of the old one, and removes it at its own end."""
    es = held("--ns", name_server, "-q")
    with Pyro5.api.Proxy(f"PYRO:Pyro.NameServer@{name_server}") as names:
        es.handover()
        assert str(names.lookup(EVENTSERVICE_NAME)) == es.uri
        es.handover()
        es.close()
        assert EVENTSERVICE_NAME not in names.list()


def test_planned_restarts_and_handovers_combine(held: Held) -> None:
    """In any order, under load, no event is lost, duplicated or out of order."""
    es = held()
    with Recording(es.uri) as subscriber, Flood(es.uri) as flood:
        subscriber.subscribe("flood")
        subscriber.start()
        for _ in range(3):
            seen = len(subscriber.events)
            eventually(lambda seen=seen: len(subscriber.events) > seen)
            es.handover()
            es.restart()
            es.await_return()
        count = flood.stop()
        first = subscriber.wait(1)[0]
        assert subscriber.wait(count - first, 40) == list(range(first, count))
        assert subscriber.gaps() == []


def test_a_refused_client_gets_the_reason(held: Held, client: Client) -> None:
    """A refusal under way, and a connection that only has to close, are completed."""
    es = held("-N", "-q", "--handshake-timeout", "2")
    silent, wrong = client(es, greet=False), client(es, greet=False)
    wrong.send(framing.CONNECT, msgpack.packb({"handshake": {"pyro_events": 99}, "object": "x"}))
    eventually(lambda: es.ask("statistics")["connections"] == 2)
    began = time.monotonic()
    es.handover()
    answer = wrong.frame()
    assert answer is not None
    assert answer.type == framing.CONNECTFAIL
    assert wrong.frame() is None
    assert silent.frame() is None
    assert time.monotonic() - began < 5
    eventually(lambda: es.ask("statistics")["connections"] == 0)
