"""Batches of helper publishers: acknowledged, repeated, pipelined, refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyro_events.codec import pack
from tests.events.test_engine_stream import messages

if TYPE_CHECKING:
    from tests.events.service_harness import Connect, Make


def test_publishing_in_batches(engine: Make, wire_client: Connect) -> None:
    """A batch holds publishes of any subjects; its answer names the last number."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["a", "b"])
    batch = [[["a", "b"], pack(1), False], [["b"], b"\xffraw", True]]
    assert client.call("publish_batch", "pub", 1, batch) == [running.engine.incarnation, 2]
    events = client.events(3)
    assert [event[0] for event in events] == ["a", "b", "b"]
    assert events[0][1] == events[1][1]
    assert events[2][2:] == [b"\xffraw", True]
    assert running.statistics()["published"] == 3


def test_a_repeated_batch_changes_nothing(engine: Make, wire_client: Connect) -> None:
    """Numbers that a publisher used before are left out, also from another connection."""
    running = engine()
    client, other = wire_client(running), wire_client(running)
    client.attach("id", ["a"])

    def batch(*values: int) -> list[Any]:
        return [[["a"], pack(value), False] for value in values]

    assert client.call("publish_batch", "pub", 1, batch(1, 2, 3))[1] == 3
    assert other.call("publish_batch", "pub", 1, batch(1, 2, 3))[1] == 3
    assert other.call("publish_batch", "pub", 2, batch(2, 3, 4, 5))[1] == 5
    assert other.call("publish_batch", "another", 1, batch(10))[1] == 1
    assert messages(client.events(6)) == [1, 2, 3, 4, 5, 10]


def test_pipelined_batches_stay_in_order(engine: Make, wire_client: Connect) -> None:
    """A publisher need not wait for answers; order and answers are kept."""
    running = engine()
    client, publisher = wire_client(running), wire_client(running)
    client.attach("id", ["a"], queue_size=10)
    seqs = [
        publisher.start("publish_batch", "pub", 1 + 20 * n, [
            [["a"], pack(20 * n + i), False] for i in range(20)
        ])
        for n in range(10)
    ]  # fmt: skip
    assert messages(client.events(200)) == list(range(200))
    assert [publisher.finish(seq)[1] for seq in seqs] == [20 * (n + 1) for n in range(10)]


@pytest.mark.parametrize(
    "batch",
    [
        None, "x", [5], [[["a"], b"", False, 1]], [[["a"], "text", False]], [["a", b"", False]],
        [[[], b"", False]], [[[""], b"", False]], [[[5], b"", False]], [[["x" * 256], b"", False]],
        [[["a"], b"", 1]], [[["a"], b"", False], [["a"], b""]],
    ],
)  # fmt: skip
def test_a_bad_batch_is_refused_as_a_whole(
    engine: Make, wire_client: Connect, batch: object
) -> None:
    """One bad item, and nothing of the batch is published."""
    running = engine()
    client = wire_client(running)
    with pytest.raises((TypeError, ValueError)):
        client.call("publish_batch", "pub", 1, batch)
    assert running.statistics()["published"] == 0
    assert client.call("publish_batch", "pub", 1, [])[1] == 0


@pytest.mark.parametrize("arguments", [(5, 1), ("", 1), ("x" * 256, 1), ("p", "1"), ("p", -1)])
def test_bad_publishers(engine: Make, wire_client: Connect, arguments: tuple[Any, Any]) -> None:
    """Ids and numbers are checked."""
    with pytest.raises((TypeError, ValueError)):
        wire_client(engine()).call("publish_batch", *arguments, [[["a"], b"\xc0", False]])
