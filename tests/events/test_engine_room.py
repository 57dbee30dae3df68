"""What a queue has room for, and how much of it is on its way at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pyro_events.codec import pack
from tests.events.service_harness import proxy
from tests.events.test_engine_pressure import messages, read_gaps

if TYPE_CHECKING:
    from tests.events.service_harness import Connect, Make


def test_the_latest_only(engine: Make, wire_client: Connect) -> None:
    """With a queue of one, the newest event waits while one is on its way."""
    running = engine(patience=0.0)
    client = wire_client(running)
    client.attach("id", ["a"], queue_size=1)
    with proxy(running.uri) as es:
        for number in range(10):
            es.publish("a", number)
    assert running.subscriber()["queued"] == 2
    assert read_gaps(client, 9) == ([0, 9], [8])


def test_all_queues_together_are_limited(engine: Make, wire_client: Connect) -> None:
    """Full ones give way; one that is read gets everything."""
    running = engine(patience=0.0, max_queued_bytes=400_000)
    clients = [wire_client(running) for _ in range(4)]
    for number, client in enumerate(clients):
        client.attach(str(number), ["a"], name=str(number))
    with proxy(running.uri, "msgpack") as es:
        for number in range(100):
            es.publish("a", bytes([number]) * 10_000)
            assert messages(clients[0].events(1)) == [bytes([number]) * 10_000]
    found = {each["subscriber"]: each for each in running.subscriptions()}
    assert found["0"]["dropped"] == 0
    assert all(8 <= found[each]["queued"] <= 11 for each in "123")
    assert running.statistics()["queued_bytes"] <= 400_000


def test_bytes_are_limited_as_well(engine: Make, wire_client: Connect) -> None:
    """A few huge events fill a queue like many small ones."""
    running = engine(queue_bytes=1_000_000, when_full="drop-newest", patience=0.0)
    client = wire_client(running)
    client.attach("id", ["a"])
    with proxy(running.uri, "msgpack") as es:
        for _ in range(10):
            es.publish("a", b"x" * 400_000)
        assert es.statistics()["dropped"] == 7


def test_a_slow_stream_gets_little_at_a_time(engine: Make, wire_client: Connect) -> None:
    """Frames shrink when they are acknowledged late, so that one that is slow isn't stuck."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["a"])
    batch = [[["a"], pack(number), False] for number in range(3000)]
    wire_client(running).call("publish_batch", "p", 1, batch)
    sizes: list[int] = []
    while sum(sizes) < 1000:
        first, events = client.push()
        assert first is not None
        sizes.append(len(events))
        client.ack(first + len(events) - 1)
    assert sizes[:4] == [16] * 4
    assert sizes == sorted(sizes)
    largest = sizes[-1]
    threading.Event().wait(1.1)
    while sizes[-1] >= largest:
        first, events = client.push()
        assert first is not None
        sizes.append(len(events))
        client.ack(first + len(events) - 1)
    assert 4 * sizes[-1] <= largest
