"""What the event service counts: durations by frame, frequent subjects, and bytes."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

from pyro_events import Publisher, Subscriber
from pyro_events._broker.counting.inventory import LOOK, MOST_SUBJECTS, Inventory, TopKeys, family
from pyro_events._broker.counting.traffic import BOUNDS, Traffic
from pyro_events._broker.stats import inventory
from pyro_events.service import EventService
from tests.harness import eventually


def test_a_frame_counts_as_its_middle_event() -> None:
    """All its events, in one bucket; a clock that was set loses none, and takes no time away."""
    traffic = Traffic()
    for delay, bucket in ((0.0, 0), (0.0625, 9), (0.75, 12), (9.0, len(BOUNDS)), (-1.0, 0)):
        before = traffic.delays[bucket]
        times = (10.0 - delay - 1, 10.0 - delay, 10.0)
        traffic.delivered([("s", at, b"", False) for at in times], 10.0)
        assert traffic.delays[bucket] == before + 3
    assert sum(traffic.delays) == 15
    assert traffic.seconds == 3 * (0.0625 + 0.75 + 9.0)


def test_the_most_frequent_are_found_in_a_flood_of_others() -> None:
    """The top keys are right, and a count is too high by no more than its error."""
    chance = random.Random(4)
    truth: Counter[str] = Counter()
    top: TopKeys[str] = TopKeys(MOST_SUBJECTS)
    for number in range(60_000):
        key = f"hot.{chance.randrange(20)}" if chance.random() < 0.5 else f"cold.{number}"
        truth[key] += 1
        top.add(key, 1, number)
    found = top.top()
    assert len(found) <= MOST_SUBJECTS
    assert {key for key, *_ in found[:20]} == {f"hot.{n}" for n in range(20)}
    assert all(count - error <= truth[key] <= count for key, count, error, _ in found)


def test_nothing_is_counted_unless_somebody_looks() -> None:
    """A look opens it for a while; after a pause the counts begin from zero."""
    now = 0.0
    counted = Inventory(lambda: now)
    assert not counted.open
    counted.look()
    counted.count([("Lab.A.x", 1.0, b"", False), ("lab.a.x", 1.0, b"", False)], "here", "p")
    assert counted.subjects.top() == [("lab.a.x", 2, 0, 1.0)]
    assert counted.edges.top()[0][0] == (("here", "p"), "lab.a")
    now = LOOK + 1
    counted.count([("lab.b", 2.0, b"", False)], "here", "p")
    assert not counted.open
    counted.look()
    assert counted.subjects.top() == []
    assert family("a") == "a"


def test_a_service_counts_what_passes() -> None:
    """Bytes, durations, what nobody hears, subjects with their listeners, publishers and edges."""

    class Sink(Subscriber):
        def event(self, event: object) -> None:
            """Take it."""

    with EventService(register=False) as service, Sink(service.uri) as sink:
        engine = service._engine
        assert engine is not None

        def looked() -> dict[str, Any]:
            return engine.ask(lambda: inventory(engine.broker)).result(10)

        def counted() -> dict[str, Any]:
            return dict(engine.ask(engine.statistics).result(10))

        sink.subscribe("lab.heard")
        looked()
        with Publisher(service.uri) as publisher:
            for _ in range(10):
                publisher.publish(["lab.heard", "lab.unheard"], "x")
            found = looked()
            assert [each["number"] for each in found["known"]] == [10]
        listening = threading.Thread(target=sink.listen)
        listening.start()
        eventually(lambda: sum(counted()["delivery"]["counts"]) == 10)
        sink.abort()
        listening.join()
        statistics = counted()
        assert (statistics["published"], statistics["unmatched"]) == (20, 10)
        assert min(statistics["received_bytes"], statistics["sent_bytes"]) > 400
        rows = {each["subject"]: each for each in found["subjects"]}
        assert (rows["lab.heard"]["count"], rows["lab.heard"]["listeners"]) == (10, 1)
        assert (rows["lab.unheard"]["count"], rows["lab.unheard"]["listeners"]) == (10, 0)
        assert {each["subjects"] for each in found["edges"]} == {"lab.heard", "lab.unheard"}
        assert [each["count"] for each in found["publishers"]] == [20]
