"""Memory of the service under a publisher that never stops and subscribers that never read."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyro_events import Publisher
from tests.events.service_harness import WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.service_harness import Process, Start

MIB = 1 << 20
MESSAGE = b"x" * 20_000
COUNT = 12_000
"""Together 240 MB, many times what may wait for a subscriber."""
BOUND = 90 * MIB
"""Two queues of 16 MiB that share nothing, what is under way, and as much again."""


def peak(pid: int) -> int:
    """Return the peak of a process's resident memory, in bytes (proc(5), VmHWM)."""
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
def test_memory_is_bounded(
    process: Start, stock_process: Callable[..., Process], policy: str
) -> None:
    """Neither a stream that reads nothing nor a stopped daemon makes the service grow."""
    service = process(
        "-m", "pyro_events", "-N", "-q", "-p", "0",
        "--queue-size", "100000",
    )  # fmt: skip
    uri = service.first_line.split()[0]
    stuck = stock_process()
    with WireClient(int(uri.rpartition(":")[2])) as silent, Publisher(uri) as publisher:
        silent.greet()
        silent.attach("silent", ["a"], when_full=policy)
        with proxy(uri) as es:
            es.subscribe("a", stuck.first_line.strip(), when_full=policy)
            eventually(lambda: {s["state"] for s in es.subscriptions()} == {"connected"})
            stuck.signal(signal.SIGSTOP)
            before = peak(service.pid)
            for _ in range(COUNT):
                publisher.post("a", MESSAGE)
            publisher.flush()
            found = es.statistics()
        assert peak(service.pid) - before < BOUND
        assert found["published"] == COUNT
        assert found["delivered"] + found["dropped"] + found["queued"] == 2 * COUNT
        assert found["dropped"] > COUNT
    stuck.signal(signal.SIGCONT)
    service.signal(signal.SIGTERM)
    assert service.end()[0] == 0
