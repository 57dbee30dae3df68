"""What becomes of events for which a queue has no room, and what bounds queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.events.service_harness import proxy
from tests.events.test_engine_pressure import read_gaps

if TYPE_CHECKING:
    from tests.events.service_harness import Connect, Make


@pytest.mark.parametrize(
    ("policy", "kept"), [("drop-oldest", [0, 1, 8, 9]), ("drop-newest", [0, 1, 2, 3])]
)
def test_dropping(engine: Make, wire_client: Connect, policy: str, kept: list[int]) -> None:
    """What is on its way stays, what waits is dropped by the policy and counted."""
    running = engine(patience=0.0)
    client = wire_client(running)
    client.attach("id", ["a"], queue_size=4, when_full=policy)
    with proxy(running.uri) as es:
        for number in range(10):
            es.publish("a", number)
        assert es.statistics()["dropped"] == 6
    assert running.subscriber()["queued"] == 4
    assert read_gaps(client, kept[-1]) == (kept, [6])


def test_block_is_refused_with_what_to_write(engine: Make, wire_client: Connect) -> None:
    """A remote call that still asks for it learns of the publishers' patience."""
    running = engine()
    with pytest.raises(ValueError, match=r"Publisher\(patience=None\)"):
        wire_client(running).attach("id", ["a"], when_full="block")
    with proxy(running.uri) as es, pytest.raises(ValueError, match="patience"):
        es.subscribe("a", "PYRO:x@localhost:1", when_full="block")


def test_disconnecting(engine: Make, wire_client: Connect) -> None:
    """With `disconnect` a subscriber that can't keep up goes, and its loss is counted."""
    running = engine(patience=0.0)
    client = wire_client(running)
    client.attach("id", ["a"], queue_size=2, when_full="disconnect")
    with proxy(running.uri) as es:
        for number in range(10):
            es.publish("a", number)
        assert running.subscriptions() == []
        found = es.statistics()
    assert (found["dropped"], found["queued"], found["queued_bytes"]) == (3, 0, 0)
    pushed = [client.push() for _ in range(2)]
    assert pushed[-1] == (None, {"kind": "disconnected", "reason": "full"})
    assert client.frame() is None
