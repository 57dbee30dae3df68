"""Patient and impatient helpers, with real subscribers that are slow or stuck."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Publisher
from tests.events.client_fixtures import Recording
from tests.events.service_harness import proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.service_harness import Process, Running, Start

STUCK = """
import sys
from pyro_events import Subscriber
class Display(Subscriber):
    def event(self, event): print(event.msg, flush=True)
with Display(sys.argv[1], name="stuck", queue_size=10) as sub:
    sub.subscribe("a")
    print("ready", flush=True)
    sub.listen()
"""

ENDS = """
import os, signal, sys
from pyro_events import Subscriber
class Ends(Subscriber):
    def event(self, event): os.kill(os.getpid(), getattr(signal, sys.argv[4]))
with Ends(sys.argv[1], delivery=sys.argv[3], queue_size=1) as sub:
    sub.subscribe(sys.argv[2])
    print("ready", flush=True)
    sub.listen()
"""


@pytest.fixture(params=["stream", "callback"])
def delivery(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("patience", "error"),
    [(-0.1, ValueError), (float("nan"), ValueError), ("1", TypeError), (True, TypeError)],
)
def test_patience_is_checked(patience: Any, error: type[Exception]) -> None:
    """A wrong one is refused when the publisher is made."""
    with pytest.raises(error, match="patience"):
        Publisher("PYRO:x@localhost:1", patience=patience)


@pytest.mark.parametrize("patience", [20, 1, 1.0])
def test_patience_is_shorter_than_the_timeout(patience: float) -> None:
    """Otherwise a publish that waits for a full queue would look like a lost event service."""
    with pytest.raises(ValueError, match=rf"timeout \(1 s\) .* patience \({patience:g} s\)"):
        Publisher("PYRO:x@localhost:1", patience=patience, timeout=1)
    Publisher("PYRO:x@localhost:1", patience=None, timeout=1).close()


def test_six_stuck_subscribers_cost_a_tenth_of_a_second(process: Start) -> None:
    """Once, all together; a healthy subscriber gets everything."""
    es = process("-m", "pyro_events", "-N", "-q", "-p", "0")
    uri = es.first_line.split()[0]
    stuck: list[Process] = [process("-c", STUCK, uri) for _ in range(6)]
    with Recording(uri) as healthy, Publisher(uri) as publisher, proxy(uri) as remote:
        healthy.subscribe("a")
        healthy.start()
        assert all(each.first_line.strip() == "ready" for each in stuck)
        for each in stuck:
            each.signal(signal.SIGSTOP)
        waits = []
        for number in range(200):
            began = time.monotonic()
            publisher.publish("a", number)
            waits.append(time.monotonic() - began)
        assert max(waits) > 0.09
        assert sum(wait > 0.09 for wait in waits) <= 3  # one of them, on an idle machine
        assert healthy.wait(200) == list(range(200))
        found = remote.statistics()
        assert (found["gave_up"], found["dropped"]) == (6, 6 * 190)
    for each in stuck:
        each.signal(signal.SIGCONT)


def test_new_stuck_subscribers_cost_no_more_than_one(process: Start, delivery: str) -> None:
    """However many stop with a full queue, one after the other."""
    es = process("-m", "pyro_events", "-N", "-q", "-p", "0")
    uri = es.first_line.split()[0]
    subjects = [f"a.{number}" for number in range(8)]
    newcomers = [process("-c", ENDS, uri, subject, delivery, "SIGSTOP") for subject in subjects]
    assert all(each.first_line.strip() == "ready" for each in newcomers)
    waits = []
    with Publisher(uri) as publisher, proxy(uri) as remote:
        for number, subject in enumerate(subjects, 1):
            while remote.statistics()["dropped"] < 5 * number:
                began = time.monotonic()
                publisher.publish(subject, number)
                waits.append(time.monotonic() - began)
    assert sum(wait > 0.09 for wait in waits) <= 3  # one of them, on an idle machine


def test_nobody_waits_for_a_killed_subscriber(process: Start, delivery: str) -> None:
    """A finite patience ends with the connection, if it was held, and is not asked for again."""
    es = process("-m", "pyro_events", "-N", "-q", "-p", "0")
    uri = es.first_line.split()[0]
    newcomer = process("-c", ENDS, uri, "a", delivery, "SIGKILL")
    assert newcomer.first_line.strip() == "ready"
    began = time.monotonic()
    with Publisher(uri, patience=50, timeout=60) as publisher:
        for number in range(20):
            publisher.publish("a", number)
    assert time.monotonic() - began < 40


def test_a_killed_subscriber_may_come_back(process: Start, delivery: str) -> None:
    """Publishers that must not lose anything wait for it, but no longer than `stuck_timeout`."""
    es = process("-m", "pyro_events", "-N", "-q", "-p", "0", "--stuck-timeout", "1")
    uri = es.first_line.split()[0]
    newcomer = process("-c", ENDS, uri, "a", delivery, "SIGKILL")
    assert newcomer.first_line.strip() == "ready"
    began = time.monotonic()
    with Publisher(uri, patience=None, timeout=60) as publisher, proxy(uri) as remote:
        while not remote.statistics()["dropped"]:
            publisher.publish("a", 0)
        assert time.monotonic() - began > 0.9
        assert remote.statistics()["gave_up"] == 1


def test_a_subscriber_that_nobody_waits_for_is_not_stuck(engine: Callable[..., Running]) -> None:
    """Its time runs while publishers wait, and ends when the last one has given up."""
    es = engine(patience=0.01)
    release = threading.Event()
    with Recording(es.uri, queue_size=1) as sub, Publisher(es.uri) as pub:
        sub.on_event = lambda _event: release.wait(20)
        sub.subscribe("a")
        sub.start()
        while not es.statistics()["gave_up"]:
            pub.publish("a", 0)
        ends = es.engine.ask(lambda: [each._stuck.at for each in es.engine.broker.subscribers()])
        assert ends.result(5) == [None]
        release.set()


def test_what_is_handled_is_not_old(engine: Callable[..., Running], delivery: Any) -> None:
    """A slow handler is never more events behind than its queue has room for."""
    es = engine(patience=0.0)
    room, pause = 20, threading.Event()
    with Recording(es.uri, delivery=delivery, queue_size=room) as sub, Publisher(es.uri) as pub:
        sub.on_event = lambda _event: pause.wait(0.01)
        sub.subscribe("a")
        sub.start()
        for number in range(300):
            pub.publish("a", number)
            assert es.subscriber()["queued"] <= room
        pub.publish("a", "last")
        eventually(lambda: sub.messages()[-1:] == ["last"])
        assert len(sub.events) + sum(gap["missed"] or 0 for gap in sub.gaps()) == 301


def test_a_patient_publisher_loses_nothing(engine: Callable[..., Running], delivery: Any) -> None:
    """It posts faster than the subscriber handles, into the smallest queue."""
    es = engine()
    pause = threading.Event()
    with (
        Recording(es.uri, delivery=delivery, queue_size=1) as sub,
        Publisher(es.uri, patience=None, timeout=60) as pub,
    ):
        sub.on_event = lambda _event: pause.wait(0.002)
        sub.subscribe("a")
        sub.start()
        for number in range(300):
            pub.post("a", number)
        pub.flush(60)
        assert sub.wait(300) == list(range(300))
        assert sub.gaps() == []


def test_patience_outlives_a_connection(engine: Callable[..., Running]) -> None:
    """A publisher that has to connect again is as patient as before."""
    es = engine(patience=0.0)
    release = threading.Event()
    with (
        Recording(es.uri, queue_size=1) as sub,
        Publisher(es.uri, patience=None, timeout=60) as pub,
    ):
        sub.on_event = lambda _event: release.wait(20)
        sub.subscribe("a")
        sub.start()
        pub.post("a", 0)
        pub.flush()
        es.engine.ask(lambda: cut_publishers(es)).result(5)
        for number in range(1, 50):
            pub.post("a", number)
        eventually(lambda: es.statistics()["held"] == 1)
        es.engine.ask(lambda: cut_publishers(es)).result(5)
        eventually(lambda: pub.statistics()["reconnects"] == 2)
        release.set()
        assert sub.wait(50) == list(range(50))
    assert es.statistics()["dropped"] == 0


def cut_publishers(es: Running) -> None:
    for session in list(es.engine._sessions):
        if session.stream is None:
            session.connection.close("a test cuts it")


def test_the_default_gap_hook_logs(
    engine: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    """A subscriber that doesn't override `gap` logs how many events it missed."""
    es = engine(patience=0.0)
    release = threading.Event()

    class Display(Recording):
        gap = Recording.__mro__[1].gap  # type: ignore[attr-defined] # as if not overridden

    with Display(es.uri, queue_size=1) as sub, Publisher(es.uri) as pub:
        sub.on_event = lambda _event: release.wait(20)
        sub.subscribe("a")
        sub.start()
        for number in range(10):
            pub.publish("a", number)
        release.set()
        assert sub.wait(2) == [0, 9]
    assert "missed 8 events (8 so far): full" in caplog.text
