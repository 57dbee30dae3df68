"""The tables of the event service's benchmark: what is missing or failed is named, not hidden."""

from __future__ import annotations

from benchmarks.events import rivals, systems
from benchmarks.events.measure import Flow, Idle, Latency
from benchmarks.events.runs import Results


def flow(publisher: float, broker: float, subscriber: float, fan_out: int = 1) -> Flow:
    return Flow(1000.0, 500.0, 0, 0, 100, publisher, broker, subscriber, fan_out)


def row(text: str, title: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {title} |"))


def results() -> Results:
    found = Results()
    for fan_out in (1, 10):
        found.flows[systems.STREAM.name, fan_out] = [
            flow(2, 1, 1, fan_out),
            flow(4, 2, 2, fan_out),
        ]
        found.flows[systems.SINGLE.name, fan_out] = [
            flow(4, 2, 2, fan_out),
            flow(8, 4, 4, fan_out),
        ]
    return found


def test_a_ratio_compares_the_rounds_one_by_one() -> None:
    """Processor time of all processes for a delivery, ours divided by theirs of that round."""
    text = rivals.numbers(results())
    assert "0.50 × (0.50–0.50)" in row(text, "processor time 1→1, ZeroMQ, proxy, ipc, single frame")
    assert "**0.50 ×**" in row(rivals.table(results()), systems.SINGLE.title)


def test_a_rival_that_is_not_there_is_named_with_what_it_needs() -> None:
    """So is one that failed at a fan-out, and a number that could not be found."""
    found = results()
    found.missing[systems.NATS_CORE.name] = "the module nats.client"
    found.failed[systems.ICEORYX2.name, 10] = "a worker died"
    found.flows[systems.ICEORYX2.name, 1] = [flow(1, 0, 1), flow(1, 0, 1)]
    found.flows[systems.ICEORYX2.name, 10] = [flow(1, 0, 1, 10)]
    found.drop_incomplete()
    text = rivals.table(found)
    assert "not installed: the module nats.client" in row(text, systems.NATS_CORE.title)
    assert "| failed |" in row(text, systems.ICEORYX2.title)
    assert all(row(text, rival.title).endswith(f"{rival.gives_up} |") for rival in systems.BEST)
    assert "not measured" in row(rivals.numbers(found), "processor time 1→1, zenoh, peers, channel")


def test_what_was_missed_is_said() -> None:
    """A latency above the aim, and memory."""
    found = results()
    found.latencies[systems.STREAM_ACKED.name] = [Latency(0.3, 1.0, 0)]
    found.latencies[systems.REDIS.name] = [Latency(0.2, 1.0, 0)]
    found.idle[systems.STREAM.name, 5000] = Idle(30_000, 90_000, 1)
    text = rivals.numbers(found)
    assert row(text, "p50 of `publish` at 200/s, Redis").endswith("**missed** |")
    assert "92 MB" in row(text, "memory of the service, 5,000 idle subscribers")
    assert "**missed**" in row(text, "memory of the service, 5,000 idle subscribers")
