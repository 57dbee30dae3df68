"""One measurement each: start everything, let it run, count, end everything."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

from benchmarks.events import workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.events.processes import Broker
    from benchmarks.events.system import System

LIMIT = 60.0
"""Seconds that one measurement may take."""


@dataclass(frozen=True)
class Flow:
    """A run at full speed. Rates are per second, costs microseconds of processor time."""

    delivered: float
    published: float
    lost: int
    jumps: int
    messages: int
    publisher_us: float
    broker_us: float
    subscriber_us: float
    """Per message published, per delivery, per delivery."""
    fan_out: int

    @property
    def work(self) -> float:
        """Microseconds of all processors together for one delivery."""
        return self.publisher_us / self.fan_out + self.broker_us + self.subscriber_us


@contextlib.contextmanager
def running(system: System) -> Iterator[Broker]:
    """Run a fresh broker in a directory of its own."""
    with tempfile.TemporaryDirectory() as directory, system.broker(Path(directory)) as broker:
        yield broker


def flow(system: System, fan_out: int, count: int, *, patterns: int = 0) -> Flow:
    """Send `count` messages to `fan_out` subscribers as fast as the system goes."""
    deadline = time.monotonic() + LIMIT
    with (
        running(system) as broker,
        contextlib.ExitStack() as stack,
        workers.subscribers(system, broker.address, fan_out, count) as group,
        workers.publisher(system, broker.address, count, None) as source,
    ):
        if patterns:
            stack.enter_context(workers.holder(system, "patterns", broker.address, patterns))
        cpu, publisher_cpu = broker.cpu(), source.cpu()
        source.pipe.send(workers.GO)
        sent = source.expect(workers.DONE, LIMIT)
        received = group.collect(deadline)
        # A client library may go on sending after its publisher has returned.
        cpu, publisher_cpu = broker.cpu() - cpu, source.cpu() - publisher_cpu
    total = sum(each.count for each in received)
    seconds = max(each.last for each in received) - sent.began
    return Flow(
        delivered=total / seconds,
        published=count / (sent.ended - sent.began),
        lost=count * fan_out - total,
        jumps=sum(each.jumps for each in received),
        messages=count,
        publisher_us=publisher_cpu / count * 1e6,
        broker_us=cpu / max(1, total) * 1e6,
        subscriber_us=sum(each.cpu for each in received) / max(1, total) * 1e6,
        fan_out=fan_out,
    )


@dataclass(frozen=True)
class Latency:
    """Seconds from before the message is published until it is in the callback, decoded."""

    p50: float
    p99: float
    lost: int


def latency(system: System, rate: float, seconds: float) -> Latency:
    """Publish at a leisurely rate to one subscriber."""
    count = int(rate * seconds)
    deadline = time.monotonic() + LIMIT
    with (
        running(system) as broker,
        workers.subscribers(system, broker.address, 1, count, timed=True) as group,
        workers.publisher(system, broker.address, count, rate) as source,
    ):
        source.pipe.send(workers.GO)
        source.expect(workers.DONE, LIMIT)
        (received,) = group.collect(deadline)
    warm = sorted(received.latencies[count // 10 :])
    cuts = quantiles(warm, n=100)
    return Latency(cuts[49], cuts[98], count - received.count)


@dataclass(frozen=True)
class Idle:
    """What idle subscribers cost a broker."""

    before_kib: int
    with_kib: int
    threads: int


def idle(system: System, number: int) -> Idle:
    """Measure `number` subscribers that get nothing."""
    with running(system) as broker:
        before = broker.status("VmRSS")
        with workers.holder(system, "idle", broker.address, number):
            return Idle(before, broker.status("VmRSS"), broker.status("Threads"))


def stalled(system: System, count: int) -> Idle:
    """Publish `count` messages to a subscriber that never reads."""
    with (
        running(system) as broker,
        workers.subscribers(system, broker.address, 1, count) as group,
        workers.publisher(system, broker.address, count, None) as source,
    ):
        before = broker.status("VmRSS")
        os.kill(group.pids[0], signal.SIGSTOP)
        source.pipe.send(workers.GO)
        source.expect(workers.DONE, LIMIT)
        return Idle(before, broker.status("VmHWM"), broker.status("Threads"))
