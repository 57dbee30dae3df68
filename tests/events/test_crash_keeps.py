"""With a ring that outlives the process, kill -9 costs an aware subscriber no accepted event."""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Publisher
from tests.events.client_fixtures import Recording
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.held_service import HeldService
    from tests.events.service_harness import WireClient

    Held = Callable[..., HeldService]
    Client = Callable[..., WireClient]

RING = 16 << 20


def slowly() -> None:
    time.sleep(0.0002)  # sleep: it is a slow subscriber


def missed(subscriber: Recording) -> int:
    return sum(gap["missed"] or 0 for gap in subscriber.gaps())


@pytest.mark.timeout(180)
@pytest.mark.parametrize("call", ["post", "publish"])
@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_amid_a_flood(held: Held, call: str, kills: int) -> None:
    """Each event arrives once, in order; only a subscriber whose queue drops misses some.

    What that one has received, and the gaps it was told of, add up to all published.
    """
    es = held(ring_bytes=RING)
    stop = threading.Event()
    count = 0

    def flood(publisher: Publisher) -> None:
        nonlocal count
        while not stop.is_set():
            end = time.monotonic() + 0.02
            while not stop.is_set() and time.monotonic() < end:
                getattr(publisher, call)(["flood", "too"] if count % 50 == 0 else "flood", count)
                count += 1
            time.sleep(0.1)  # sleep: or the slow one would never be done
        publisher.flush(60)

    with ExitStack() as stack:

        def recording(**options: Any) -> Recording:
            made = stack.enter_context(Recording(es.uri, **options))
            made.subscribe("flood")
            return made

        lossless = [
            recording(queue_size=1_000_000),
            recording(queue_size=1_000_000, delivery="callback"),
            slow := recording(queue_size=1_000_000),
        ]
        dropping = recording(queue_size=20)
        slow.on_event = dropping.on_event = lambda _event: slowly()
        everyone = [*lossless, dropping]
        for each in everyone:
            each.start()
        publisher = stack.enter_context(Publisher(es.uri, timeout=60, patience=0))
        thread = threading.Thread(target=flood, args=[publisher])
        thread.start()
        stack.callback(thread.join, 60)
        stack.callback(stop.set)
        for _ in range(kills):
            seen = count
            eventually(lambda seen=seen: count > seen)
            time.sleep(random.random() * 0.3)  # sleep: a random moment is the point
            es.crash()
            assert es.await_return()["expected"] == len(everyone)
        stop.set()
        thread.join(60)
        for each in lossless:
            assert each.wait(count, 90) == list(range(count))
            assert each.gaps() == []
        eventually(lambda: len(dropping.events) + missed(dropping) >= count, deadline=60)
        messages = dropping.messages()
        assert messages == sorted(set(messages))
        assert len(messages) + missed(dropping) == count


def test_one_that_is_away_has_everything_when_it_comes_back(held: Held, client: Client) -> None:
    """That holds over two crashes, a planned restart and a handover, for runs and single ones."""
    es = held(ring_bytes=RING)
    with Publisher(es.uri) as publisher:
        first = client(es)
        before = first.attach("s", ["a"], name="s")["incarnation"]
        publisher.publish("a", 0)
        assert len(first.events(1)) == 1
        first.sock.close()
        for number in range(1, 40):
            publisher.post("a", number)
        publisher.flush()
        es.crash()
        publisher.publish("a", 40)
        es.crash()
        es.restart()
        publisher.publish("a", 41)
        es.crash()
        es.handover()
        publisher.publish("a", 42)
        es.crash()
        second = client(es)
        answer = second.attach("s", ["a"], last=1, last_incarnation=before)
        assert (answer["resumed"], answer["missed"], answer["next"]) == (True, 0, 2)
        found = [event[2][-1] for event in second.events(42)]
        assert found == list(range(1, 43))


def test_a_batch_in_two_queues_keeps_its_order(held: Held, client: Client) -> None:
    """While a patient publisher waits for one queue, no other overtakes it in another one."""
    es = held(ring_bytes=RING)
    full, other = client(es), client(es)
    before = full.attach("full", ["x"], name="full", queue_size=1)["incarnation"]
    other.attach("other", ["y"], name="other")
    with (
        Publisher(es.uri, patience=None) as patient,
        Publisher(es.uri) as quick,
    ):
        for number in range(5):
            patient.post("x", number)
        patient.post("y", 100)
        eventually(lambda: es.ask("statistics")["held"] > 0)
        quick.publish("y", 101)
        found = [event[2][-1] for event in other.events(2, ack=False)]
        assert found == [100, 101]
        es.crash()
        again, late = client(es), client(es)
        assert again.attach("other", ["y"], last=2, last_incarnation=before)["missed"] == 0
        answer = late.attach("full", ["x"], last=0, last_incarnation=before, queue_size=1)
        assert answer["missed"] == 0
        assert [event[2][-1] for event in late.events(5)] == list(range(5))
        patient.flush(20)
        quick.publish("y", 102)
        assert [event[2][-1] for event in again.events(1)] == [102]


def test_a_subscriber_further_behind_than_the_ring_gets_a_gap(held: Held, client: Client) -> None:
    """It is exactly as large as what was overwritten."""
    es = held(ring_bytes=1 << 16)
    first = client(es)
    before = first.attach("s", ["a"], name="s")["incarnation"]
    first.sock.close()
    with Publisher(es.uri) as publisher:
        for number in range(100):
            publisher.publish("a", [number, "x" * 2000])
        es.crash()
        second = client(es)
        answer = second.attach("s", ["a"], last=0, last_incarnation=before)
        assert 60 < answer["missed"] < 100
        rest = second.events(100 - answer["missed"])
        assert len(rest) == 100 - answer["missed"]
        publisher.publish("a", "next")
        assert len(second.events(1)) == 1
