"""Full queues: which publishers wait, for how long, and what is lost and counted.

Publishers in these tests are stock proxies, which have the patience of the event service.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from Pyro5.errors import CommunicationError

from pyro_events.codec import pack, unpack
from tests.events.service_harness import Recorder, Running, WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Connect, Make, Stock


LONG = 60.0
"""A patience that doesn't end during a test."""
PATIENT = {"pyro_events": 2, "role": "publisher", "patience": None}
"""The handshake of a helper that waits as long as it takes."""


def messages(events: list[Any]) -> list[Any]:
    return [unpack(body) for _, _, body, _ in events]


def fill(running: Running, subject: str = "full", queue: int = 2) -> None:
    """Publish one by one as many events as a queue takes."""
    with proxy(running.uri) as es:
        for number in range(queue):
            es.publish(subject, number)


def read_gaps(client: WireClient, last: object) -> tuple[list[Any], list[int]]:
    """Read until that message; return the messages, and the numbers of the gaps."""
    found: list[Any] = []
    missed = []
    while last not in found:
        first, events = client.push()
        if first is None:
            assert (events["kind"], events["reason"]) == ("gap", "full")
            missed.append(events["missed"])
        else:
            found += messages(events)
            client.ack(first + len(events) - 1)
    return found, missed


def held_call(running: Running, *arguments: Any) -> tuple[threading.Thread, list[float]]:
    """Publish on a thread; yields when the call was done."""
    done: list[float] = []

    def publish() -> None:
        with proxy(running.uri) as es:
            es.publish(*arguments)
        done.append(time.monotonic())

    thread = threading.Thread(target=publish)
    thread.start()
    eventually(lambda: running.statistics()["held"] >= 1)
    return thread, done


def test_a_patient_publisher_waits_for_a_full_queue(engine: Make, wire_client: Connect) -> None:
    """A publish waits until there is room, and nothing is lost."""
    running = engine(patience=LONG)
    client = wire_client(running)
    client.attach("id", ["full"], queue_size=2)
    fill(running)
    thread, done = held_call(running, "full", "late")
    assert not done
    assert messages(client.events(3)) == [0, 1, "late"]
    thread.join(5)
    assert done
    found = running.statistics()
    assert found["held"] == found["dropped"] == found["gave_up"] == 0


def test_only_the_publishers_concerned_are_held(engine: Make, wire_client: Connect) -> None:
    """Others keep publishing, and other subscribers get the waiting event at once."""
    running = engine(patience=LONG)
    client, other = wire_client(running), wire_client(running)
    client.attach("stuck", ["full"], queue_size=2)
    other.attach("quick", ["full", "fine"])
    fill(running)
    thread, done = held_call(running, "full", "late")
    with proxy(running.uri) as es:
        es.publish("fine", 1)
    assert messages(other.events(4)) == [0, 1, "late", 1]
    assert not done
    client.events(3)
    thread.join(5)


def test_each_publisher_has_its_own_patience(engine: Make, wire_client: Connect) -> None:
    """An impatient one publishes to a full queue while a patient one waits for it."""
    running = engine(patience=0.0, stuck_timeout=LONG)
    client = wire_client(running)
    client.attach("id", ["full"], queue_size=2, when_full="drop-newest")
    fill(running)
    done = threading.Event()

    def publish() -> None:
        with proxy(running.uri, handshake=PATIENT) as es:
            es.publish("full", "patient")
        done.set()

    thread = threading.Thread(target=publish)
    thread.start()
    eventually(lambda: running.statistics()["held"] == 1)
    with proxy(running.uri) as es:
        for _ in range(5):
            es.publish("full", "impatient")
    assert not done.is_set()
    assert running.statistics()["dropped"] == 5
    assert read_gaps(client, "patient") == ([0, 1, "patient"], [5])
    thread.join(5)
    assert done.is_set()


def test_patience_is_spent_once(
    engine: Make, wire_client: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """A stuck subscriber costs its publishers their patience once, whoever they are.

    That is logged and counted. When it has taken what waited, they are patient again.
    """
    running = engine(patience=0.3)
    client = wire_client(running)
    client.attach("stuck", ["full"], queue_size=4, when_full="drop-newest")
    fill(running, queue=4)
    began = time.monotonic()
    with proxy(running.uri) as es:
        es.publish("full", "dropped")
    assert time.monotonic() - began > 0.29
    for _ in range(3):
        with proxy(running.uri) as es:
            for _ in range(10):
                es.publish("full", "dropped as well")
    found = running.statistics()
    assert (found["dropped"], found["gave_up"], found["held"]) == (31, 1, 0)
    (said,) = [r.message for r in caplog.records if "too slow" in r.message]
    assert "its queue is full (queue_size of 4 events)" in said
    assert read_gaps(client, 3) == ([0, 1, 2, 3], [31])
    eventually(lambda: running.subscriber()["queued"] == 0)
    with proxy(running.uri) as es:
        es.publish("full", "taken")
    assert read_gaps(client, "taken") == (["taken"], [])
    fill(running, queue=4)
    with proxy(running.uri) as es:
        es.publish("full", "dropped")
    assert running.statistics()["gave_up"] == 2


def test_one_that_is_slow_does_not_set_the_pace(engine: Make, wire_client: Connect) -> None:
    """Taking an event now and then doesn't renew the patience that publishers have spent."""
    running = engine(patience=0.3)
    client = wire_client(running)
    client.attach("slow", ["a"], queue_size=1)
    with proxy(running.uri) as es:
        for number in range(40):
            es.publish("a", number)
            if number % 4 == 3:
                first, events = client.push()
                if first is not None:
                    client.ack(first + len(events) - 1)
        assert es.statistics()["gave_up"] == 1


def test_a_stuck_subscriber_holds_nobody(engine: Make, wire_client: Connect) -> None:
    """However patient: after `stuck_timeout` without taking anything, it is given up."""
    running = engine(patience=0.0, stuck_timeout=0.4)
    client = wire_client(running)
    client.attach("stuck", ["full"], queue_size=2)
    fill(running)
    began = time.monotonic()
    with proxy(running.uri, handshake=PATIENT) as es:
        es.publish("full", "instead of an older one")
        assert time.monotonic() - began > 0.39
        for _ in range(20):
            es.publish("full", "the latest")
        found = es.statistics()
    assert (found["gave_up"], found["dropped"]) == (1, 21)


def test_a_patient_publisher_waits_as_long_as_something_is_taken(
    engine: Make, wire_client: Connect
) -> None:
    """Many waits that together last longer than `stuck_timeout` lose nothing."""
    running = engine(stuck_timeout=1.0)
    client, publisher = wire_client(running), WireClient(running.port)
    client.attach("id", ["a"], queue_size=2)
    publisher.greet(PATIENT)
    seq = publisher.start("publish_batch", "p", 1, [[["a"], pack(n), False] for n in range(20)])
    began = time.monotonic()
    pause = threading.Event()
    found: list[Any] = []
    while len(found) < 20:
        first, events = client.push()
        assert first is not None
        found += messages(events)
        pause.wait(0.1)
        client.ack(first + len(events) - 1)
    assert found == list(range(20))
    assert time.monotonic() - began > 1.5
    assert publisher.finish(seq)[1] == 20
    assert running.statistics()["dropped"] == 0
    publisher.sock.close()


@pytest.mark.parametrize("patience", [-1, "long", True, float("nan")])
def test_a_wrong_patience_is_refused(engine: Make, patience: object) -> None:
    """The handshake fails with a sentence that names it."""
    running = engine()
    with (
        pytest.raises(CommunicationError, match="patience must be"),
        proxy(running.uri, "msgpack", {**PATIENT, "patience": patience}) as es,
    ):
        es.statistics()


def test_the_managers_events_wait_for_nobody(engine: Make, wire_client: Connect) -> None:
    """They are published without patience."""
    running = engine(patience=LONG)
    client = wire_client(running)
    client.attach("id", ["full"], queue_size=2)
    fill(running)
    running.engine.ask(lambda: running.engine.announce("full", "news")).result(5)
    assert running.statistics()["held"] == 0
    assert read_gaps(client, "news") == ([0, "news"], [1])


def test_a_held_batch_resumes_where_it_stopped(engine: Make, wire_client: Connect) -> None:
    """A batch larger than the queue waits repeatedly, and arrives in order."""
    running = engine(patience=LONG)
    client, publisher = wire_client(running), wire_client(running)
    client.attach("id", ["a"], queue_size=3)
    seq = publisher.start("publish_batch", "p", 1, [[["a"], pack(n), False] for n in range(200)])
    assert messages(client.events(200)) == list(range(200))
    assert publisher.finish(seq)[1] == 200


def test_a_publisher_that_vanishes_while_it_is_held(engine: Make, wire_client: Connect) -> None:
    """What was accepted is delivered; the same batch over another connection adds nothing."""
    running = engine(patience=LONG)
    client, publisher = wire_client(running), wire_client(running)
    client.attach("id", ["a"], queue_size=3)
    batch = [[["a"], pack(n), False] for n in range(50)]
    publisher.start("publish_batch", "p", 1, batch)
    eventually(lambda: running.statistics()["held"] == 1)
    publisher.sock.close()
    again = wire_client(running)
    seq = again.start("publish_batch", "p", 1, [*batch, [["a"], pack("more"), False]])
    assert messages(client.events(51)) == [*range(50), "more"]
    assert again.finish(seq)[1] == 51


def test_a_subscriber_that_goes_frees_the_publisher(engine: Make, wire_client: Connect) -> None:
    """A publisher does not wait for a subscriber that has left."""
    running = engine(patience=LONG)
    client = wire_client(running)
    client.attach("id", ["full"], queue_size=2)
    fill(running)
    thread, done = held_call(running, "full", "late")
    client.start("detach")
    thread.join(5)
    assert done
    assert running.statistics()["held"] == 0


def test_two_copies_wait_as_two(engine: Make, wire_client: Connect) -> None:
    """A subscriber that gets two copies gets both after the wait."""
    running = engine(patience=LONG)
    client = wire_client(running)
    client.attach("id", ["full"], ["full"], queue_size=2)
    fill(running, queue=1)
    thread, _ = held_call(running, "full", "x")
    assert messages(client.events(4)) == [0, 0, "x", "x"]
    thread.join(5)


def test_options_may_change_later(engine: Make, stock: Stock) -> None:
    """A later subscribe changes policy and size; what waits is kept as far as it fits."""
    running, recorder, gate = engine(), Recorder(), threading.Event()
    recorder.hook = lambda event: gate.wait(20)
    uri = stock().register(recorder)
    with proxy(running.uri) as es:
        es.subscribe("a", uri, queue_size=100)
        for number in range(20):
            es.publish("a", number)
        es.subscribe("a", uri, queue_size=5, when_full="drop-oldest")
        eventually(lambda: running.subscriber()["queue_size"] == 5)
        dropped = running.statistics()["dropped"]
        assert dropped > 0
        gate.set()
        eventually(lambda: running.subscriber()["queued"] == 0)
    assert len(recorder.events) == 20 - dropped
    assert recorder.messages() == sorted(recorder.messages())


def test_the_service_stops_while_publishers_are_held(engine: Make, wire_client: Connect) -> None:
    """Held publishers don't keep the service from stopping; their connections break."""
    running = engine(drain_timeout=0.2, patience=LONG)
    client = wire_client(running)
    client.attach("id", ["full"], queue_size=2)
    fill(running)
    errors: list[Exception] = []

    def publish() -> None:
        with proxy(running.uri) as es:
            try:
                es.publish("full", "late")
            except Exception as error:  # noqa: BLE001 - the test looks at it
                errors.append(error)

    thread = threading.Thread(target=publish)
    thread.start()
    eventually(lambda: running.statistics()["held"] == 1)
    running.stop()
    thread.join(5)
    assert errors
