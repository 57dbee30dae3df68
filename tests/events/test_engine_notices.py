"""What an object with `es_notice` is notified of: stops, gaps, patterns, and its dismissal."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tests.events.service_harness import AwareRecorder, Recorder, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Make, Stock


def test_aware_subscribers_are_notified_of_the_stop(engine: Make, stock: Stock) -> None:
    """An object with es_notice is aware, and gets reason and incarnation at the stop."""
    running, aware, plain = engine(), AwareRecorder(), Recorder()
    daemon = stock()
    with proxy(running.uri) as es:
        es.subscribe("a", daemon.register(aware))
        es.subscribe("a", daemon.register(plain))
        eventually(lambda: [s["aware"] for s in running.subscriptions()] == [True, False])
        es.publish("a", 1)
    running.engine.stop("a test")
    running.thread.join(5)
    assert not running.thread.is_alive()
    assert aware.notices == [
        {
            "kind": "stopping",
            "reason": "a test",
            "uri": running.uri,
            "incarnation": running.engine.incarnation,
        }
    ]
    assert aware.messages() == plain.messages() == [1]


def test_an_aware_object_is_notified_of_a_gap(engine: Make, stock: Stock) -> None:
    """One notice before the next events counts what a full queue has dropped."""
    running, aware, gate = engine(), AwareRecorder(), threading.Event()
    aware.hook = lambda event: gate.wait(20)
    with proxy(running.uri) as es:
        es.subscribe("a", stock().register(aware), queue_size=5, when_full="drop-newest")
        es.publish("a", 0)
        eventually(lambda: aware.running)
        for number in range(1, 100):
            es.publish("a", number)
        dropped = es.statistics()["dropped"]
        gate.set()
        eventually(lambda: len(aware.messages()) == 100 - dropped)
        es.publish("a", "last")
        eventually(lambda: aware.messages()[-1] == "last")
    (notice,) = aware.notices
    assert notice == {
        "kind": "gap", "missed": dropped, "reason": "full",
        "uri": running.uri, "incarnation": running.engine.incarnation,
    }  # fmt: skip


def test_an_aware_object_is_notified_of_its_dismissal(engine: Make, stock: Stock) -> None:
    """With `disconnect` the notice comes after what was under way; a plain one is only dropped."""
    running, daemon, gate = engine(), stock(), threading.Event()
    aware, plain = AwareRecorder(), Recorder()
    aware.hook = plain.hook = lambda event: gate.wait(20)
    with proxy(running.uri) as es:
        for recorder in (aware, plain):
            es.subscribe("a", daemon.register(recorder), queue_size=2, when_full="disconnect")
        eventually(lambda: {s["state"] for s in running.subscriptions()} == {"connected"})
        for number in range(10):
            es.publish("a", number)
        assert running.subscriptions() == []
        assert es.statistics()["dropped"] >= 2
    gate.set()
    (notice,) = eventually(lambda: aware.notices)
    assert (notice["kind"], notice["reason"]) == ("disconnected", "full")


def test_a_dismissed_object_does_not_delay_the_stop(engine: Make, stock: Stock) -> None:
    """Stopping closes the connection to one that has not read its last notice."""
    running, gate = engine(), threading.Event()
    aware = AwareRecorder()
    aware.hook = lambda event: gate.wait(20)
    with proxy(running.uri) as es:
        es.subscribe("a", stock().register(aware), queue_size=1, when_full="disconnect")
        eventually(lambda: running.subscriber()["state"] == "connected")
        for number in range(10):
            es.publish("a", number)
    began = time.monotonic()
    running.stop()
    assert time.monotonic() - began < 2
    gate.set()


def test_a_suspended_pattern_is_reported(engine: Make, stock: Stock) -> None:
    """The owner of a pattern that takes too long is notified, and the roster shows it."""
    running, aware = engine(), AwareRecorder()
    with proxy(running.uri) as es:
        es.subscribeMatch([r"(a|a)*$", "b"], stock().register(aware))
        eventually(lambda: running.subscriber()["aware"])
        for number in range(6):
            es.publish("a" * 40 + f"!{number}", number)
        notices = eventually(lambda: aware.notices[1:] and aware.notices)
        assert [each["suspended"] for each in notices] == [False, True]
        assert {(each["kind"], each["pattern"]) for each in notices} == {("pattern", r"(a|a)*$")}
        assert running.subscriber()["suspended"] == [r"(a|a)*$"]
        assert running.subscriber()["unmatched"] >= 3
        es.publish("b", "still")
        eventually(lambda: aware.messages() == ["still"])


def test_the_notice_of_a_pattern_waits_for_the_connection(engine: Make, stock: Stock) -> None:
    """An owner that is unreachable when its pattern is suspended is notified later."""
    running, aware = engine(retry_delay=0.02), AwareRecorder()
    first = stock()
    uri, port = first.register(aware, "it"), first.port
    with proxy(running.uri) as es:
        es.subscribeMatch(r"(a|a)*$", uri)
        eventually(lambda: running.subscriber()["aware"])
        first.close()
        eventually(lambda: running.subscriber()["state"] == "retrying")
        for number in range(6):
            es.publish("a" * 40 + f"!{number}", number)
        eventually(lambda: running.subscriber()["suspended"])
        assert aware.notices == []
        stock("thread", port).register(aware, "it")
        _, notice = eventually(lambda: aware.notices[1:] and aware.notices)
    assert (notice["kind"], notice["pattern"]) == ("pattern", r"(a|a)*$")
