"""Subjects of the manager, which no client can publish: believers drop their connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack
import pytest

from pyro_events import EventService, Publisher
from tests.events.service_harness import proxy
from tests.events.test_engine_limits import refusals

if TYPE_CHECKING:
    from tests.events.service_harness import Connect, Make

FORGED = ("pyroctl.lab.market.failed", "PyroCtl.lab.market.failed")
BODY = msgpack.packb(1)


@pytest.mark.parametrize("subject", FORGED)
def test_a_helper_refuses_a_subject_of_the_manager_at_once(subject: str) -> None:
    """It raises in the caller, without any event service; so does a service in the program."""
    with Publisher("PYRO:Pyro.EventService@localhost:1") as publisher:
        for publish in (publisher.publish, publisher.post):
            with pytest.raises(ValueError, match="reserved"):
                publish(["a", subject], 1)
    with pytest.raises(ValueError, match="reserved"):
        EventService(register=False).publish(subject, 1)


@pytest.mark.parametrize("subject", FORGED)
def test_a_stock_client_is_refused_a_subject_of_the_manager(engine: Make, subject: str) -> None:
    """The call raises and nothing of it is published; it is counted."""
    running = engine()
    with proxy(running.uri) as es, pytest.raises(ValueError, match="reserved"):
        es.publish(["a", subject], 1)
    assert running.statistics()["published"] == 0
    assert refusals(running) == {"reserved": 1}


def test_the_rest_of_a_forged_batch_arrives_in_order(engine: Make, wire_client: Connect) -> None:
    """Forged events reach nobody and are counted; the publisher's numbers stay right."""
    running = engine()
    subscriber, publisher = wire_client(running), wire_client(running)
    subscriber.attach("all", [FORGED[0]], [".*"])
    batch = [[[subject], BODY, False] for subject in ("a", FORGED[0], FORGED[1], "b")]
    batch.append([["c", FORGED[0], "d"], BODY, False])
    for _ in range(2):  # the second time, all of them are known
        assert publisher.call("publish_batch", "forger", 1, batch)[1] == 5
    assert [event[0] for event in subscriber.events(4)] == ["a", "b", "c", "d"]
    assert running.statistics()["published"] == 4
    assert refusals(running) == {"reserved": 3}


def test_the_manager_publishes_them(engine: Make, wire_client: Connect) -> None:
    """Its events still arrive after clients have tried, and do not open the way for clients."""
    running = engine()
    subscriber, publisher = wire_client(running), wire_client(running)
    subscriber.attach("all", [], ["pyroctl.*"])
    for number in range(2):
        running.engine.ask(lambda: running.engine.announce(FORGED[0], "true")).result(5)
        publisher.call("publish_batch", "forger", number + 1, [[[FORGED[0]], BODY, False]])
    assert [msgpack.unpackb(event[2]) for event in subscriber.events(2)] == ["true"] * 2
    assert refusals(running) == {"reserved": 2}
