"""A planned restart: notices, waiting events, and nothing lost, duplicated or reordered."""

from __future__ import annotations

import resource
import signal
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import Pyro5.api
import pytest

from pyro_events import Publisher
from pyro_events._broker.engine import Engine
from pyro_events._broker.settings import Settings
from pyro_wire import backoff
from tests.events.client_fixtures import Recording, all_get_more
from tests.events.held_service import Flood
from tests.events.service_harness import AwareRecorder, Recorder, WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.events.held_service import HeldService
    from tests.events.service_harness import Stock

    Held = Callable[..., HeldService]
    Client = Callable[..., WireClient]


def kinds(recorder: AwareRecorder) -> list[str]:
    return [notice["kind"] for notice in recorder.notices]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("times", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_restarts_at_full_speed(held: Held, times: int) -> None:
    """With a publisher at full speed and ten subscribers, all events arrive once and in order."""
    es = held()
    with ExitStack() as stack:
        subscribers = [stack.enter_context(Recording(es.uri)) for _ in range(10)]
        for each in subscribers:
            each.subscribe("flood")
            each.start()
        flood = stack.enter_context(Flood(es.uri))
        for _ in range(times):
            all_get_more(subscribers)
            assert es.restart()["aware"] == 10
            assert es.await_return() == {"expected": 10, "back": 10}
        count = flood.stop()
        for each in subscribers:
            assert each.wait(count, 60) == list(range(count))
            assert each.gaps() == []
        assert es.ask("statistics")["dropped"] == 0


@pytest.mark.timeout(120)
def test_many_restarts_in_a_row_delay_nobody_longer(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the delay doubled at each of them, the last one would take longer than the test."""
    monkeypatch.setattr(backoff, "FIRST", 0.5)
    monkeypatch.setattr(backoff, "LAST", 1000.0)
    monkeypatch.setattr(backoff, "SETTLED", 1000.0)
    es = held()
    with Recording(es.uri) as sub, Publisher(es.uri, timeout=60) as pub:
        sub.subscribe("a")
        sub.start()
        for number in range(10):
            pub.publish("a", number)
            assert sub.wait(number + 1, 60) == list(range(number + 1))
            es.restart()
        assert sub.gaps() == []


def test_events_published_during_it_wait(held: Held, client: Client) -> None:
    """A stream that reconnects late continues after its last event, without a gap."""
    es = held()
    first = client(es)
    before = first.attach("s", ["a"])["incarnation"]
    with proxy(es.uri) as remote:
        for number in range(4):
            remote.publish("a", number)
    events = first.events(4, ack=False)
    first.ack(2)
    left = es.restart()
    assert left == {"parted": True, "aware": 1, "kept_events": 2}
    with proxy(es.uri) as remote:
        remote.publish("a", "meanwhile")
    assert es.ask("returned") == {"expected": 1, "back": 0}
    second = client(es)
    answer = second.attach("s", ["a"], last=3, last_incarnation=before)
    assert (answer["resumed"], answer["next"], answer["missed"]) == (True, 4, 0)
    assert answer["incarnation"] != before
    again = second.events(2)
    assert again[0] == events[3]
    assert es.ask("returned") == {"expected": 1, "back": 1}


def test_it_may_be_away_for_several_restarts(held: Held, client: Client) -> None:
    """Numbers and events are kept over any number of them, even if no answer has reached it."""
    es = held()
    first = client(es)
    incarnation = first.attach("s", ["a"])["incarnation"]
    clients = [first]
    for number in range(3):
        with proxy(es.uri) as remote:
            remote.publish("a", number)
        es.restart()
    for _ in range(2):  # the answer of the first time gets lost
        clients.append(client(es))
        answer = clients[-1].attach("s", ["a"], last=0, last_incarnation=incarnation)
        assert (answer["resumed"], answer["missed"]) == (True, 0)
    assert len(clients[-1].events(3)) == 3


def test_aware_objects_are_notified_before_and_after(held: Held, stock: Stock) -> None:
    """`stopping`, then `restarted` from the new one; events wait until it has subscribed again."""
    es, aware, plain = held(), AwareRecorder(), Recorder()
    daemon = stock()
    uri = daemon.register(aware)
    with proxy(es.uri) as remote:
        remote.subscribe("a", uri)
        remote.subscribe("a", daemon.register(plain))
        eventually(lambda: [s["aware"] for s in es.ask("subscriptions")] == [True, False])
        remote.publish("a", 1)
    assert es.restart()["aware"] == 1
    eventually(lambda: kinds(aware) == ["stopping", "restarted"])
    assert [notice["reason"] for notice in aware.notices] == ["restart", "restart"]
    assert aware.notices[0]["incarnation"] != aware.notices[1]["incarnation"]
    assert {notice["uri"] for notice in aware.notices} == {es.uri}
    with proxy(es.uri) as remote:
        remote.publish("a", 2)
        assert es.ask("returned") == {"expected": 1, "back": 0}
        assert aware.messages() == [1]
        remote.subscribe("a", uri)
        remote.publish("a", 3)
    eventually(lambda: aware.messages() == [1, 2, 3])
    assert es.await_return() == {"expected": 1, "back": 1}
    assert kinds(aware) == ["stopping", "restarted"]
    assert plain.messages() == [1]


def test_callback_helpers_come_back_by_themselves(held: Held) -> None:
    """In three restarts at full speed all events arrive once and in order, without a gap."""
    es = held()
    with Recording(es.uri, delivery="callback") as subscriber, Flood(es.uri) as flood:
        subscriber.subscribe("flood")
        subscriber.start()
        for _ in range(3):
            seen = len(subscriber.events)
            eventually(lambda seen=seen: len(subscriber.events) > seen)
            es.restart()
            es.await_return()
        count = flood.stop()
        first = subscriber.wait(1)[0]
        assert subscriber.wait(count - first, 40) == list(range(first, count))
        assert subscriber.gaps() == []


def test_a_hanging_es_notice_delays_no_other(held: Held, stock: Stock) -> None:
    """It delays neither the restart nor the others, which get their events."""
    es, gate = held(), threading.Event()

    @Pyro5.api.expose
    class Hanging(AwareRecorder):
        def es_notice(self, notice: Any) -> None:
            gate.wait(30)

    uri = stock().register(Hanging())
    with Recording(es.uri) as other, Publisher(es.uri) as publisher:
        other.subscribe("a")
        other.start()
        with proxy(es.uri) as remote:
            remote.subscribe("a", uri)
        eventually(lambda: all(s["aware"] for s in es.ask("subscriptions")))
        publisher.publish("a", 1)
        began = time.monotonic()
        assert es.ask("retire")["aware"] == 2
        assert time.monotonic() - began < 10
        es.end(signal.SIGTERM)
        es.start()
        publisher.publish("a", 2)
        assert other.wait(2) == [1, 2]
        with proxy(es.uri) as remote:
            remote.unsubscribe("a", uri)
    gate.set()


def test_a_held_publisher_loses_nothing(held: Held, client: Client) -> None:
    """What did not fit into a full queue is saved with the queue."""
    es = held("-N", "-q", "--patience", "60", "--stuck-timeout", "60", "--queue-size", "5")
    reader = client(es)
    before = reader.attach("s", ["a"])["incarnation"]
    with Publisher(es.uri, patience=None) as publisher:
        for number in range(3000):
            publisher.post("a", number)
        eventually(lambda: es.ask("statistics")["held"] == 1)
        es.restart()
        again = client(es)
        assert again.attach("s", ["a"], last=0, last_incarnation=before)["resumed"]
        events = again.events(3000)
        publisher.flush(10)
    assert [event[2] for event in events] == sorted({event[2] for event in events}, key=_number)


def _number(body: bytes) -> int:
    import msgpack

    return int(msgpack.unpackb(body))


def test_repeated_batches_are_known_to_the_next_one(held: Held, client: Client) -> None:
    """A batch whose acknowledgement was lost in the restart is not published twice."""
    es = held()
    reader, publisher = client(es), client(es)
    before = reader.attach("s", ["a"])["incarnation"]
    batch = [[["a"], b"\x01", False], [["a"], b"\x02", False]]
    publisher.call("publish_batch", "me", 1, batch)
    es.restart()
    readers = [reader, client(es)]
    readers[1].attach("s", ["a"], last=0, last_incarnation=before)
    again = client(es)
    _, last = again.call("publish_batch", "me", 1, [*batch, [["a"], b"\x03", False]])
    assert last == 3
    assert [event[2] for event in readers[1].events(3)] == [b"\x01", b"\x02", b"\x03"]


def test_the_wait_for_reconnecting_clients_is_bounded(held: Held, client: Client) -> None:
    """`returned` answers when all are back, or at its time-out, and blocks no other question."""
    es = held()
    first = client(es)
    first.attach("s", ["a"])
    es.restart()
    began = time.monotonic()
    assert es.ask("returned", wait=0.3) == {"expected": 1, "back": 0}
    assert 0.3 <= time.monotonic() - began < 5
    assert es.ask("returned", wait=0) == {"expected": 1, "back": 0}


def test_one_without_a_state_directory_refuses_to_retire(held: Held) -> None:
    """It serves on unchanged, and ends like any other."""
    es = held(state=False)
    with pytest.raises(AssertionError, match="no state directory"):
        es.ask("retire")
    with Recording(es.uri) as subscriber, Publisher(es.uri) as publisher:
        subscriber.subscribe("a")
        subscriber.start()
        publisher.publish("a", 1)
        assert subscriber.wait(1) == [1]


def test_a_retired_process_does_nothing_more(held: Held) -> None:
    """A second retirement is refused; it still answers pings, and ends at once when stopped."""
    es = held()
    es.ask("retire")
    with pytest.raises(AssertionError, match="has retired"):
        es.ask("retire")
    assert es.ask("ping")["incarnation"]
    began = time.monotonic()
    es.end(signal.SIGTERM)
    assert time.monotonic() - began < 5
    es.start()


def test_a_full_disk_makes_it_a_crash(held: Held, client: Client) -> None:
    """What can't be written is lost, and the subscriber gets the number."""
    es = held()
    first = client(es)
    before = first.attach("s", ["a"])["incarnation"]
    with proxy(es.uri) as remote:
        remote.publish("a", "x" * 100_000)
    first.events(1, ack=False)
    assert es.process is not None
    resource.prlimit(es.process.pid, resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    with pytest.raises(AssertionError, match="File too large"):
        es.ask("retire")
    es.end(signal.SIGTERM)
    es.start()
    second = client(es)
    answer = second.attach("s", ["a"], last=0, last_incarnation=before)
    assert (answer["resumed"], answer["missed"], answer["next"]) == (True, 1, 2)


def test_a_client_that_does_not_return_is_given_up(tmp_path: Path, client: Client) -> None:
    """After `reconnect_grace` its queue is dropped and counted, and it is no longer expected."""
    settings = replace(Settings(), reconnect_grace=0.3)

    @contextmanager
    def engine() -> Iterator[Engine]:
        made = Engine("localhost", 0, settings, "0.test", state_dir=str(tmp_path))
        thread = threading.Thread(target=made.run)
        thread.start()
        yield made
        made.stop("end of the test")
        thread.join(10)
        assert not thread.is_alive()

    with engine() as first:
        reader = client(first)
        reader.attach("s", ["a"])
        with proxy(first.uri) as remote:
            remote.publish("a", 1)
        reader.events(1, ack=False)
        left: list[Any] = []
        first.loop.call_soon(lambda: first.retire("a test", left.append))
        eventually(lambda: left)
        assert left[0]() == {"parted": True, "aware": 1, "kept_events": 1}
    with engine() as second:
        assert second.ask(second.broker.reconnects.counts).result(5) == {"expected": 1, "back": 0}
        done = threading.Event()
        second.loop.call_soon(lambda: second.broker.reconnects.when_complete(20, done.set))
        assert done.wait(10)
        assert second.ask(second.subscriptions).result(5) == []
        assert second.ask(second.statistics).result(5)["dropped"] == 1
    assert list(tmp_path.iterdir()) == []
