"""Stock subscribers that are slow, stuck or killed do not affect other clients."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.events.service_harness import Process, Recorder, proxy
from tests.events.test_engine_callback import QUICK, post
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.service_harness import Make, Stock


@pytest.mark.parametrize("wrap", [int, lambda n: (n,)], ids=["msgpack", "marshal"])
def test_a_slow_subscriber_gets_small_batches(
    engine: Make, stock: Stock, wrap: Callable[[int], Any]
) -> None:
    """A slow `event` does not count as stuck because many events wait."""
    running, recorder = engine(reply_timeout=1.5), Recorder()
    recorder.hook = lambda event: time.sleep(0.1)  # sleep: a slow subscriber
    with proxy(running.uri) as es:
        es.subscribe("a", stock().register(recorder))
    post(running, "a", *map(wrap, range(40)))
    eventually(lambda: len(recorder.events) == 40)
    assert recorder.messages() == list(map(wrap, range(40)))
    assert running.statistics()["retries"] == 0


def test_a_subscriber_that_never_answers_is_tried_again(engine: Make, stock: Stock) -> None:
    """After `reply_timeout` the connection is given up, and the event is sent once more."""
    running, recorder, gate = engine(**QUICK, reply_timeout=0.3), Recorder(), threading.Event()
    recorder.hook = lambda event: gate.wait(20)
    with proxy(running.uri) as es:
        es.subscribe("a", stock().register(recorder))
        es.publish("a", 1)
        eventually(lambda: running.statistics()["retries"] >= 1)
        gate.set()
        eventually(lambda: running.subscriber()["delivered"] == 1)
    assert set(recorder.messages()) == {1}


def test_a_stuck_subscriber_delays_no_other(
    engine: Make, stock: Stock, stock_process: Callable[..., Process]
) -> None:
    """While one subscriber's process is stopped, the others get everything at once."""
    running, recorder = engine(), Recorder()
    stuck = stock_process()
    with proxy(running.uri) as es:
        es.subscribe("a", stuck.first_line.strip())
        es.subscribe("a", stock().register(recorder))
        es.publish("a", 0)
        eventually(lambda: [s["delivered"] for s in running.subscriptions()] == [1, 1])
        stuck.signal(signal.SIGSTOP)
        began = time.monotonic()
        for number in range(1, 300):
            es.publish("a", number)
        eventually(lambda: len(recorder.events) == 300)
        assert time.monotonic() - began < 5
        stuck.signal(signal.SIGCONT)
        with proxy(stuck.first_line.strip()) as remote:
            eventually(lambda: remote.got() == list(range(300)))


def test_a_killed_subscriber_delays_no_other(
    engine: Make, stock: Stock, stock_process: Callable[..., Process]
) -> None:
    """A subscriber that is killed in mid-stream is retried, and dropped in the end."""
    running, recorder = engine(**QUICK), Recorder()
    victim = stock_process()
    with proxy(running.uri) as es:
        es.subscribe("a", victim.first_line.strip())
        es.subscribe("a", stock().register(recorder))
        for number in range(100):
            es.publish("a", number)
        victim.signal(signal.SIGKILL)
        post(running, "a", *range(100, 400))  # in time before the victim is given up
        eventually(lambda: len(recorder.events) == 400)
        eventually(lambda: len(running.subscriptions()) == 1)
    assert recorder.messages() == list(range(400))

    def accounted() -> int:
        found = running.statistics()
        return int(found["delivered"] + found["dropped"])

    eventually(lambda: accounted() == 800)  # the last answer may still be on its way
