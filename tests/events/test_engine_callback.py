"""Delivery to stock Pyro5 daemons: what arrives, in which order, and what happens on failures."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import Pyro5.api
import pytest
from Pyro5 import serializers

from pyro_events import codec
from pyro_events._protocol.event import CALLS_NAME, CLASS_NAME, Event
from tests.events.service_harness import (
    Process,
    Recorder,
    Running,
    proxy,
)
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.service_harness import Make, Stock


QUICK = {"retry_delay": 0.02, "retry_max_delay": 0.1, "retry_for": 1.0, "connect_timeout": 1.0}

MESSAGES = [
    "text", 5, 2**70, 1.5, None, True, b"bytes", [1, (2, 3)], (1, "x"), {1, 2}, frozenset({1}),
    {"a": {"b": (1,)}}, {5: "x"}, 1j, Decimal("1.50"), UUID(int=7),
    datetime(2026, 1, 2, tzinfo=UTC),
]  # fmt: skip


def post(running: Running, subject: str, *messages: Any) -> None:
    """Publish over one connection, without waiting for each."""
    send(running, subject, *map(codec.pack, messages))


def send(running: Running, subject: str, *bodies: bytes) -> None:
    batch = [[[subject], body, False] for body in bodies]
    with proxy(running.uri, "msgpack") as es:
        es._pyroBind()
        es._pyroInvoke("publish_batch", [f"p{time.monotonic()}", 1, batch], {})


@pytest.mark.parametrize("server_type", ["thread", "multiplex"])
def test_messages_arrive_as_they_are(engine: Make, stock: Stock, server_type: str) -> None:
    """Every type that the codec has arrives unchanged and in order."""
    running, recorder = engine(), Recorder()
    uri = stock(server_type).register(recorder)
    with proxy(running.uri) as es:
        es.subscribe("a", uri)
    post(running, "a", *MESSAGES)
    eventually(lambda: len(recorder.events) == len(MESSAGES))
    assert recorder.messages() == MESSAGES
    assert list(map(type, recorder.messages())) == list(map(type, MESSAGES))
    assert all(type(event) is Event for event in recorder.events)


@pytest.mark.parametrize("server_type", ["thread", "multiplex"])
def test_many_events_arrive_in_order_and_alone(
    engine: Make, stock: Stock, server_type: str
) -> None:
    """Thousands of events arrive completely, in order, and never two at once."""
    running, recorder = engine(), Recorder()
    uri = stock(server_type).register(recorder)
    with proxy(running.uri) as es:
        es.subscribe("a", uri)
    sent = [(n,) if n % 50 < 10 else n for n in range(5000)]
    post(running, "a", *sent)
    eventually(lambda: len(recorder.events) == len(sent))
    assert recorder.messages() == sent
    assert recorder.overlaps == 0
    eventually(lambda: running.statistics()["delivered"] == len(sent))
    assert running.statistics()["dropped"] == 0


@pytest.mark.parametrize("kind", ["msgpack", "marshal", "serpent", "mixed"])
def test_an_exception_costs_only_its_event(
    engine: Make, stock: Stock, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Events after one that raised still arrive, once each and in order; the failure counts."""
    wrap: Callable[[int], Any] = {
        "msgpack": lambda n: n,
        "marshal": lambda n: (n,),
        "serpent": Decimal,
        "mixed": lambda n: (n, (n,), Decimal(n))[n % 3],
    }[kind]
    running, recorder = engine(), Recorder()

    def number(event: Event) -> int:
        return int(event.msg[0] if isinstance(event.msg, tuple) else event.msg)

    def fail(event: Event) -> None:
        if number(event) % 7 == 3:
            raise ValueError(f"no {number(event)}")

    recorder.hook = fail
    uri = stock().register(recorder)
    with proxy(running.uri) as es:
        es.subscribe("a", uri)
    post(running, "a", *map(wrap, range(300)))
    good = [n for n in range(300) if n % 7 != 3]
    eventually(lambda: running.subscriber()["delivered"] == len(good))
    assert list(map(number, recorder.events)) == good
    assert running.subscriber()["errors"] == running.statistics()["errors"] == 300 - len(good)
    assert "ValueError: no 3" in caplog.text
    assert running.statistics()["dropped"] == 0


def test_an_event_that_can_not_be_decoded_costs_only_itself(engine: Make, stock: Stock) -> None:
    """A message that the subscriber's daemon refuses to decode is counted; the others arrive."""
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    with proxy(running.uri) as es:
        es.subscribe("a", uri)
    strange = codec.Codec()
    strange.register(Recorder, "un.known", vars, lambda _: recorder)
    bodies = list(map(codec.pack, range(100)))
    send(running, "a", *bodies[:50], strange.pack(Recorder.__new__(Recorder)), *bodies[50:])
    eventually(lambda: running.subscriber()["delivered"] == 100)
    assert recorder.messages() == list(range(100))
    assert running.subscriber()["errors"] == 1


def test_a_dict_that_looks_like_a_class_is_a_dict(engine: Make, stock: Stock) -> None:
    """A message may have any keys; Pyro5's own are nothing special in it."""
    running, recorder = engine(), Recorder()
    with proxy(running.uri) as es:
        es.subscribe("a", stock().register(recorder))
    post(running, "a", {"__class__": "builtins.SystemExit", "__exception__": True})
    eventually(lambda: len(recorder.events) == 1)
    assert recorder.messages() == [{"__class__": "builtins.SystemExit", "__exception__": True}]


@pytest.mark.parametrize("kind", ["msgpack", "marshal", "serpent"])
def test_subscribers_without_the_class(
    engine: Make, stock: Stock, kind: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Without Event an event is an error with a hint; with as_dict=True it is a dict."""
    wrap: Callable[[int], Any] = {
        "msgpack": lambda n: n,
        "marshal": lambda n: (n,),
        "serpent": Decimal,
    }[kind]
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    registry = serializers.SerializerBase._SerializerBase__custom_dict_to_class_registry
    for name in (CLASS_NAME, CALLS_NAME):
        monkeypatch.delitem(registry, name)
    with proxy(running.uri) as es:
        es.subscribe("a", uri)
        post(running, "a", *map(wrap, range(5)))
        eventually(lambda: running.subscriber()["errors"] == 5)
        assert "as_dict=True" in caplog.text
        es.subscribe("a", uri, as_dict=True)
    post(running, "a", *map(wrap, range(5)))
    eventually(lambda: len(recorder.events) == 5)
    assert [set(event) for event in recorder.events] == [{"subject", "msg", "time"}] * 5


def test_daemons_without_msgpack(
    engine: Make, stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that has no msgpack is served in the other serializers."""
    running, recorder = engine(**QUICK), Recorder()
    uri = stock().register(recorder)
    with proxy(running.uri) as es:
        es._pyroBind()
        monkeypatch.delitem(serializers.serializers_by_id, 4)
        es.subscribe("a", uri)
        es.publish("a", {"x": 1})
        es.publish("a", (1,))
        eventually(lambda: recorder.messages() == [{"x": 1}, (1,)])


def test_a_subscriber_that_comes_back_gets_what_waited(engine: Make, stock: Stock) -> None:
    """A broken connection is retried; what was published in between arrives, in order."""
    running, recorder = engine(**{**QUICK, "retry_for": 30}), Recorder()
    first = stock()
    uri, port = first.register(recorder, "it"), first.port
    with proxy(running.uri) as es:
        es.subscribe("a", uri)
        es.publish("a", 0)
        eventually(lambda: recorder.messages() == [0])
        first.close()
        eventually(lambda: running.subscriber()["state"] == "retrying")
        for number in range(1, 50):
            es.publish("a", number)
        stock("thread", port).register(recorder, "it")
        eventually(lambda: len(recorder.events) >= 50)
    assert recorder.messages() == list(range(50))
    assert running.statistics()["retries"] > 0
    assert running.subscriber()["state"] == "connected"


def test_an_unreachable_subscriber_is_dropped_by_name(
    engine: Make, stock: Stock, caplog: pytest.LogCaptureFixture
) -> None:
    """After `retry_for` the subscriber goes; what waited for it is counted and logged."""
    running, daemon = engine(**QUICK), stock()
    uri = daemon.register(Recorder())
    daemon.close()
    with proxy(running.uri) as es:
        es.subscribe("lost.subject", uri)
        es.publish("lost.subject", 1)
        es.publish("lost.subject", 2)
        eventually(lambda: running.subscriptions() == [])
        assert es.statistics()["dropped"] == 2
        assert es.statistics()["subscribers"] == 0
        es.publish("lost.subject", 3)
        assert es.statistics()["dropped"] == 2
    assert uri in caplog.text
    assert "lost.subject" in caplog.text
    assert "2 events lost" in caplog.text


def test_an_object_that_is_unregistered_is_dropped(engine: Make, stock: Stock) -> None:
    """When the daemon stays but the object goes, the subscriber goes after `retry_for`."""
    running, recorder, daemon = engine(**QUICK), Recorder(), stock()
    uri = daemon.register(recorder)
    with proxy(running.uri) as es:
        es.subscribe("a", uri)
        es.publish("a", 1)
        eventually(lambda: recorder.messages() == [1])
        daemon.daemon.unregister(recorder)
        es.publish("a", 2)
        eventually(lambda: running.subscriptions() == [])
    assert running.statistics()["dropped"] == 1


def test_an_object_that_comes_back_misses_nothing(engine: Make, stock: Stock) -> None:
    """An object that is registered again in time gets what was published in between."""
    running, recorder, daemon = engine(**{**QUICK, "retry_for": 30}), Recorder(), stock()
    uri = daemon.register(recorder, "it")
    with proxy(running.uri) as es:
        es.subscribe("a", uri)
        es.publish("a", 0)
        eventually(lambda: recorder.messages() == [0])
        daemon.daemon.unregister("it")
        for number in range(1, 30):
            es.publish("a", number)
        eventually(lambda: running.subscriber()["state"] == "retrying")
        daemon.register(recorder, "it")
        eventually(lambda: recorder.messages() == list(range(30)))


@Pyro5.api.expose
class Deaf:
    def listen(self) -> None:
        pass


def test_an_object_without_event_is_dropped(
    engine: Make, stock: Stock, caplog: pytest.LogCaptureFixture
) -> None:
    """An object that has no exposed `event` can't be a subscriber."""
    running = engine()
    with proxy(running.uri) as es:
        es.subscribe("a", stock().register(Deaf()))
        eventually(lambda: running.subscriptions() == [])
    assert "no exposed event method" in caplog.text


def test_an_exception_that_looks_like_an_unknown_object(engine: Make, stock: Stock) -> None:
    """A handler that itself fails on an unknown object is an error of its event, no more."""
    running, recorder = engine(**QUICK), Recorder()

    def fail(event: Event) -> None:
        if event.msg == 0:
            raise Pyro5.errors.DaemonError("unknown object")

    recorder.hook = fail
    with proxy(running.uri) as es:
        es.subscribe("a", stock().register(recorder))
        for number in range(3):
            es.publish("a", number)
        eventually(lambda: recorder.messages() == [1, 2])
        assert running.subscriber()["errors"] == 1


def test_unsubscribing_inside_of_event(engine: Make, stock: Stock) -> None:
    """A subscriber may call the event service back while it handles an event."""
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)

    def leave(event: Event) -> None:
        with proxy(running.uri) as es:
            es.unsubscribe(event.subject, uri)

    recorder.hook = leave
    with proxy(running.uri) as es:
        es.subscribe(["a", "b"], uri)
        es.publish("a", 1)
        eventually(lambda: recorder.messages() == [1])
        es.publish(["a", "b"], 2)
        eventually(lambda: recorder.messages() == [1, 2])
        eventually(lambda: running.subscriptions() == [])


def test_queues_drain_at_the_stop(engine: Make, stock: Stock) -> None:
    """What was accepted before the stop is delivered, as far as two seconds allow."""
    running, recorder = engine(), Recorder()
    recorder.hook = lambda event: time.sleep(0.01)  # sleep: a slow subscriber
    with proxy(running.uri) as es:
        es.subscribe("a", stock().register(recorder))
        for number in range(50):
            es.publish("a", number)
    running.stop()
    assert recorder.messages() == list(range(50))


def test_the_stop_is_bounded(
    engine: Make, stock_process: Callable[..., Process], caplog: pytest.LogCaptureFixture
) -> None:
    """A stuck subscriber keeps the stop for `drain_timeout`, and the loss is logged."""
    running, stuck = engine(drain_timeout=0.3), stock_process()
    with proxy(running.uri) as es:
        es.subscribe("a", stuck.first_line.strip())
        eventually(lambda: running.subscriber()["state"] == "connected")
        stuck.signal(signal.SIGSTOP)
        es.publish("a", 1)
    began = time.monotonic()
    running.stop()
    assert time.monotonic() - began < 2
    assert "1 events undelivered" in caplog.text
