"""A callback helper gets each event once, wherever a connection to it breaks."""

from __future__ import annotations

import itertools
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Publisher
from pyro_wire import backoff, framing
from tests.events.client_fixtures import Recording, Relay
from tests.events.held_service import Flood
from tests.events.service_harness import Recorder, proxy
from tests.events.test_engine_callback import QUICK, post
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.held_service import HeldService
    from tests.events.service_harness import Make, Stock

    Held = Callable[..., HeldService]

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "LAST", 0.1)


@contextmanager
def behind_relay(uri: str, **options: Any) -> Iterator[tuple[Recording, Relay]]:
    """Make a helper that the event service reaches through a relay."""
    with Relay(0) as relay:
        nat = {"nathost": "127.0.0.1", "natport": relay.port}
        with Recording(uri, delivery="callback", **nat, **options) as sub:
            daemon: Any = sub._subscription
            relay.target = int(daemon._daemon.locationStr.rpartition(":")[2])
            yield sub, relay


def every(number: int) -> Callable[[bytes], bool]:
    """Lose every so-manyeth answer to a call, which has been executed then."""
    calls = itertools.count(1)
    return lambda data: data[6] == framing.RESULT and not next(calls) % number


@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize("options", [{}, {"queue_size": 1}], ids=["batches", "one by one"])
def test_lost_answers(engine: Make, number: int, options: dict[str, Any]) -> None:
    """Calls that are repeated because their answers were lost bring no event again."""
    es = engine(**QUICK | {"retry_for": 60.0})
    total = 40 if options else 2000
    with (
        behind_relay(es.uri, **options) as (sub, relay),
        Publisher(es.uri, timeout=60, patience=None) as pub,
    ):
        relay.lose = every(number)
        sub.subscribe("a")
        sub.start()
        for at in range(total):
            pub.post("a", at)
        pub.flush()
        assert sub.wait(total, 60) == list(range(total))
        relay.lose = lambda _: False
        eventually(lambda: es.subscriber()["delivered"] == total)
        assert sub.messages() == list(range(total))
        assert sub.gaps() == []
        assert es.statistics()["retries"] > 0


def test_a_break_while_the_helper_has_no_room(engine: Make) -> None:
    """The call waits for a slow handler; the connection breaks again and again; nothing is twice.

    What is sent again waits as well, and no thread is left waiting for an older connection.
    """
    es, gate = engine(**QUICK), threading.Event()
    with behind_relay(es.uri, queue_size=1) as (sub, relay):
        sub.on_event = lambda _event: gate.wait(20)
        sub.subscribe("a")
        sub.start()
        with proxy(es.uri) as remote:
            remote.publish("a", 1)
            sub.wait(1)
            for _ in range(3):
                before = es.statistics()["retries"]
                relay.cut()
                eventually(lambda before=before: es.statistics()["retries"] > before)
                eventually(lambda: es.subscriber()["state"] == "connected")
            assert es.subscriber()["queued"] == 1
            gate.set()
            eventually(lambda: es.subscriber()["delivered"] == 1)
            remote.publish("a", 2)
        assert sub.wait(2) == [1, 2]


def test_two_helpers_of_one_process(engine: Make) -> None:
    """Each has numbers of its own."""
    es = engine(**QUICK)
    with behind_relay(es.uri) as (one, relay), behind_relay(es.uri) as (two, other):
        for sub, subject in ((one, "a"), (two, ".")):
            sub.subscribeMatch(subject)
            sub.start()
        relay.lose, other.lose = every(2), every(3)
        for number in range(10):
            post(es, "b", *range(number * 10, number * 10 + 10))
            post(es, "a", *range(number * 10, number * 10 + 10))
        assert one.wait(100) == list(range(100))
        assert len(two.wait(200)) == 200
        for subject in ("a", "b"):
            got = [event.msg for event in two.events if event.subject == subject]
            assert got == list(range(100))
        eventually(lambda: es.statistics()["delivered"] == 300)
        assert len(one.events) + len(two.events) == 300


def test_numbers_continue_after_a_handover(held: Held) -> None:
    """A call that the old process made, and the new one has to repeat, brings nothing again."""
    es, gate = held(), threading.Event()
    with behind_relay(es.uri, queue_size=1) as (sub, relay):
        sub.on_event = lambda _event: gate.wait(20)
        sub.subscribe("a")
        sub.start()
        with proxy(es.uri) as remote:
            remote.publish("a", 1)
            sub.wait(1)
            es.handover()
            relay.cut()
            eventually(lambda: es.ask("statistics")["retries"] > 0)
            gate.set()
            for number in (2, 3):
                remote.publish("a", number)
                sub.wait(number)
        eventually(lambda: es.ask("statistics")["queued"] == 0)
        assert sub.messages() == [1, 2, 3]
        assert sub.gaps() == []


def test_numbers_continue_after_a_planned_restart(held: Held) -> None:
    """What a slow helper was just handling comes neither again nor as a gap."""
    es, gate = held(), threading.Event()
    with Recording(es.uri, delivery="callback") as sub:
        sub.on_event = lambda _event: gate.wait(20)
        sub.subscribe("a")
        sub.start()
        with Publisher(es.uri, timeout=30) as pub:
            for number in range(20):
                pub.publish("a", number)
            sub.wait(1)
            es.restart()
            gate.set()
            es.await_return()
            pub.publish("a", 20)
        assert sub.wait(21) == list(range(21))
        eventually(lambda: es.ask("statistics")["queued"] == 0)
        assert sub.messages() == list(range(21))
        assert sub.gaps() == []


def test_lost_answers_around_planned_restarts(held: Held) -> None:
    """Connections that break at full speed, restarts among them, cost and double nothing."""
    es = held()
    with behind_relay(es.uri) as (sub, relay), Flood(es.uri) as flood:
        sub.subscribe("flood")
        sub.start()
        relay.lose = every(4)
        for _ in range(2):
            seen = len(sub.events)
            eventually(lambda seen=seen: len(sub.events) > seen)
            es.restart()
            es.await_return()
        relay.lose = lambda _: False
        count = flood.stop()
        first = sub.wait(1)[0]
        assert sub.wait(count - first, 40) == list(range(first, count))
        assert sub.gaps() == []


def test_numbers_begin_anew_after_a_crash(held: Held) -> None:
    """The next incarnation's first events are not taken for those of the one before."""
    es = held()
    with behind_relay(es.uri) as (sub, relay):
        sub.subscribe("a")
        sub.start()
        with Publisher(es.uri, timeout=30) as pub:
            for number in range(50):
                pub.publish("a", number)
            sub.wait(50)
            es.crash()
            es.await_return()
            relay.lose = every(2)
            for number in range(50, 60):
                pub.publish("a", number)
            assert sub.wait(60) == list(range(60))
            eventually(lambda: es.ask("statistics")["queued"] == 0)
        assert sub.messages() == list(range(60))


def test_numbers_begin_anew_with_a_new_subscription(engine: Make) -> None:
    """A helper that has unsubscribed is a new subscriber afterwards."""
    es = engine(**QUICK)
    with Recording(es.uri, delivery="callback") as sub:
        sub.start()
        for number in range(5):
            sub.subscribe("a")
            post(es, "a", number)
            sub.wait(number + 1)
            sub.unsubscribe("a")
        assert sub.messages() == list(range(5))


def test_plain_objects_get_it_again(engine: Make, stock: Stock) -> None:
    """Without a helper a lost answer means that the event comes once more, and none is missing."""
    es, recorder = engine(**QUICK), Recorder()
    daemon = stock()
    uri = daemon.register(recorder)
    with Relay(daemon.port) as relay, proxy(es.uri) as remote:
        relay.lose = every(2)
        remote.subscribe("a", uri.replace(f":{daemon.port}", f":{relay.port}"))
        for number in range(4):
            remote.publish("a", number)
            eventually(lambda number=number: es.subscriber()["delivered"] == number + 1)
    assert recorder.messages() == sorted(recorder.messages())
    assert set(recorder.messages()) == set(range(4))
    assert len(recorder.messages()) > 4
