"""One measurement each: start everything, let it run, count, end everything."""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
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


@contextlib.contextmanager
def running(system: System) -> Iterator[Broker]:
    """Have a fresh broker in a directory of its own."""
    with tempfile.TemporaryDirectory() as directory, system.broker(Path(directory)) as broker:
        yield broker


def flow(system: System, fan_out: int, count: int) -> Flow:
    """Send `count` messages to so many subscribers as fast as the system goes."""
    deadline = time.monotonic() + LIMIT
    with (
        running(system) as broker,
        workers.subscribers(system, broker.address, fan_out, count) as group,
        workers.publisher(system, broker.address, count, None) as source,
    ):
        cpu = broker.cpu()
        source.pipe.send(workers.GO)
        sent = source.expect(workers.DONE, LIMIT)
        received = group.collect(deadline)
        cpu = broker.cpu() - cpu
    total = sum(each.count for each in received)
    seconds = max(each.last for each in received) - sent.began
    return Flow(
        delivered=total / seconds,
        published=count / (sent.ended - sent.began),
        lost=count * fan_out - total,
        jumps=sum(each.jumps for each in received),
        messages=count,
        publisher_us=sent.cpu / count * 1e6,
        broker_us=cpu / max(1, total) * 1e6,
        subscriber_us=sum(each.cpu for each in received) / max(1, total) * 1e6,
    )
