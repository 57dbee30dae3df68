"""Full queues: which publishers wait, for how long, and what is lost and counted."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events.codec import pack, unpack
from tests.events.service_harness import Recorder, Running, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Connect, Make, Stock


WINDOW = 4


def messages(events: list[Any]) -> list[Any]:
    return [unpack(body) for _, _, body, _ in events]


def fill(running: Running, subject: str = "full", queue: int = 2) -> None:
    """Publish one by one as many events as a stream without acknowledgements takes."""
    with proxy(running.uri) as es:
        for number in range(WINDOW + queue):
            es.publish(subject, number)


def blocked_call(running: Running, *arguments: Any) -> tuple[threading.Thread, list[float]]:
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


def test_a_full_queue_blocks_the_publisher(engine: Make, wire_client: Connect) -> None:
    """With `block` a publish waits until there is room, and nothing is lost."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["full"], queue_size=2)
    fill(running)
    thread, done = blocked_call(running, "full", "late")
    assert not done
    assert messages(client.events(7)) == [*range(6), "late"]
    thread.join(5)
    assert done
    assert running.statistics()["held"] == running.statistics()["dropped"] == 0


def test_only_the_publishers_concerned_are_blocked(engine: Make, wire_client: Connect) -> None:
    """Others keep publishing, and other subscribers get the waiting event at once."""
    running = engine()
    client, other = wire_client(running), wire_client(running)
    client.attach("stuck", ["full"], queue_size=2)
    other.attach("quick", ["full", "fine"])
    fill(running)
    thread, done = blocked_call(running, "full", "late")
    with proxy(running.uri) as es:
        es.publish("fine", 1)
    assert messages(other.events(8)) == [*range(6), "late", 1]
    assert not done
    client.events(7)
    thread.join(5)


def test_a_publisher_is_blocked_for_a_limited_time(
    engine: Make, wire_client: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """After `block_timeout` the event is dropped there, counted, and the publisher continues.

    As long as the subscriber takes nothing, no publisher waits for it again.
    """
    running = engine(block_timeout=1.0)
    client = wire_client(running)
    client.attach("stuck", ["full"], queue_size=2)
    fill(running)
    began = time.monotonic()
    with proxy(running.uri) as es:
        es.publish("full", "dropped")
        assert time.monotonic() - began > 0.9
        began = time.monotonic()
        for _ in range(20):
            es.publish("full", "dropped as well")
        assert time.monotonic() - began < 10  # and not 20 times a second
        assert es.statistics()["dropped"] == 21
        assert "takes nothing" in caplog.text
        first, _ = client.push()
        assert first is not None
        client.ack(first)
        eventually(lambda: running.subscriber()["queued"] < 6)
        es.publish("full", "taken")
    found = []
    while "taken" not in found:
        number, events = client.push()
        if number is None:
            assert events == {"kind": "gap", "missed": 21, "reason": "full"}
        else:
            found += messages(events)
            client.ack(number + len(events) - 1)
    assert found == [1, 2, 3, 4, 5, "taken"]


def test_a_blocked_batch_resumes_where_it_stopped(engine: Make, wire_client: Connect) -> None:
    """A batch larger than the queue waits repeatedly, and arrives in order."""
    running = engine()
    client, publisher = wire_client(running), wire_client(running)
    client.attach("id", ["a"], queue_size=3)
    seq = publisher.start("publish_batch", "p", 1, [[["a"], pack(n), False] for n in range(200)])
    assert messages(client.events(200)) == list(range(200))
    assert publisher.finish(seq)[1] == 200


def test_a_publisher_that_vanishes_while_it_is_blocked(engine: Make, wire_client: Connect) -> None:
    """What was accepted is delivered; the same batch over another connection adds nothing."""
    running = engine()
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
    running = engine()
    client = wire_client(running)
    client.attach("id", ["full"], queue_size=2)
    fill(running)
    thread, done = blocked_call(running, "full", "late")
    client.start("detach")
    thread.join(5)
    assert done
    assert running.statistics()["held"] == 0


def test_two_copies_wait_as_two(engine: Make, wire_client: Connect) -> None:
    """A subscriber that gets two copies gets both after the wait."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["full"], ["full"], queue_size=2)
    fill(running, queue=1)
    thread, _ = blocked_call(running, "full", "x")
    count = 2 * (WINDOW + 1) + 2
    assert messages(client.events(count))[-2:] == ["x", "x"]
    thread.join(5)


@pytest.mark.parametrize(
    ("policy", "kept"), [("drop-oldest", [0, 1, 2, 3, 8, 9]), ("drop-newest", [0, 1, 2, 3, 4, 5])]
)
def test_dropping(engine: Make, wire_client: Connect, policy: str, kept: list[int]) -> None:
    """The other policies block no publisher; what they drop is counted."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["a"], queue_size=2, when_full=policy)
    with proxy(running.uri) as es:
        for number in range(10):
            es.publish("a", number)
        assert es.statistics()["dropped"] == 4
    found: list[int] = []
    while len(found) < 6:
        first, events = client.push()
        if first is not None:
            found += messages(events)
            client.ack(first + len(events) - 1)
    assert found == kept


def test_disconnecting(engine: Make, wire_client: Connect) -> None:
    """With `disconnect` a subscriber that can't keep up goes, and its loss is counted."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["a"], queue_size=2, when_full="disconnect")
    with proxy(running.uri) as es:
        for number in range(10):
            es.publish("a", number)
        assert running.subscriptions() == []
        assert es.statistics()["dropped"] == 7
    pushed = [client.push() for _ in range(WINDOW + 1)]
    assert pushed[-1] == (None, {"kind": "disconnected", "reason": "full"})
    assert client.frame() is None


def test_bytes_are_limited_as_well(engine: Make, wire_client: Connect) -> None:
    """A few huge events fill a queue like many small ones."""
    running = engine(queue_bytes=1_000_000, when_full="drop-newest")
    client = wire_client(running)
    client.attach("id", ["a"])
    with proxy(running.uri, "msgpack") as es:
        for _ in range(10):
            es.publish("a", b"x" * 400_000)
        assert es.statistics()["dropped"] == 3


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


def test_the_service_stops_while_publishers_are_blocked(engine: Make, wire_client: Connect) -> None:
    """Blocked publishers don't keep the service from stopping; their connections break."""
    running = engine(drain_timeout=0.2)
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
