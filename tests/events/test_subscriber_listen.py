"""Listening, in any thread: how it ends, what exceptions do, what closing leaves behind."""

from __future__ import annotations

import contextlib
import gc
import logging
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Publisher, Subscriber
from pyro_events.errors import Closed
from tests.events.client_fixtures import FakeES, Recording
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyro_events import Event
    from tests.events.service_harness import Running

NOBODY = "PYRO:Pyro.EventService@127.0.0.1:1"


@pytest.fixture
def es(engine: Callable[..., Running]) -> Running:
    return engine()


@pytest.fixture(params=["stream", "callback"])
def delivery(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def sub(es: Running, delivery: Any) -> Iterator[Recording]:
    with Recording(es.uri, delivery=delivery) as made:
        yield made


@pytest.fixture
def pub(es: Running) -> Iterator[Publisher]:
    with Publisher(es.uri) as made:
        yield made


def test_abort_ends_listen_at_once(sub: Recording) -> None:
    """This holds from another thread, while nothing happens."""
    sub.subscribe("a")
    sub.start()
    eventually(lambda: "connected" in sub.hook_names())
    start = time.monotonic()
    sub.abort()
    sub.thread.join(5)
    assert not sub.thread.is_alive()
    assert time.monotonic() - start < 1


def test_abort_before_listen_ends_the_next_one(sub: Recording, pub: Publisher) -> None:
    """It ends only that one."""
    sub.abort()
    sub.listen()
    sub.subscribe("a")
    sub.start()
    pub.publish("a", 1)
    assert sub.wait(1) == [1]


def test_abort_inside_of_event_keeps_what_is_left(sub: Recording, pub: Publisher) -> None:
    """The event in progress is the last; the others come with the next listen."""
    sub.on_event = lambda event: sub.abort() if event.msg == 2 else None
    sub.subscribe("a")
    for number in range(6):
        pub.post("a", number)
    pub.flush()
    sub.listen()
    assert sub.messages() == [0, 1, 2]
    sub.start()
    assert sub.wait(6) == list(range(6))


def test_abort_while_the_event_service_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """Neither connecting nor waiting for the next attempt delays it."""
    sub = Recording(NOBODY).start()
    with sub:
        eventually(lambda: "no connection" in caplog.text)
        sub.abort()
        sub.thread.join(2)
        assert not sub.thread.is_alive()


def test_listen_runs_once_at_a_time(sub: Recording) -> None:
    """The second caller gets an error."""
    sub.start()
    eventually(lambda: sub._listener)
    with pytest.raises(RuntimeError, match="running already"):
        sub.listen()


def test_an_exception_in_event_does_not_end_listen(
    sub: Recording, pub: Publisher, es: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback and counted; the event counts as handled."""

    def fail(event: Any) -> None:
        if event.msg % 2:
            raise ZeroDivisionError(f"odd {event.msg}")

    sub.on_event = fail
    sub.subscribe("a")
    sub.start()
    for number in range(4):
        pub.publish("a", number)
    sub.wait(4)
    eventually(lambda: caplog.text.count("ZeroDivisionError: odd") == 2)
    assert sub.statistics()["errors"] == 2
    assert "Traceback" in caplog.text
    eventually(lambda: es.subscriber()["queued"] == 0)
    assert es.statistics()["delivered"] == 4


def test_exceptions_reach_stderr_when_logging_is_not_configured(es: Running) -> None:
    """Users see their own mistakes without any setup."""
    program = f"""
from pyro_events import Publisher, Subscriber
class Failing(Subscriber):
    def event(self, event):
        self.abort()
        raise LookupError("on stderr")
with Failing({es.uri!r}) as sub, Publisher({es.uri!r}) as pub:
    sub.subscribe("a")
    pub.publish("a", 1)
    sub.listen()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert "LookupError: on stderr" in done.stderr
    assert "Traceback" in done.stderr


def test_exceptions_in_hooks_are_logged(
    sub: Recording, pub: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    """They don't end listen either."""

    def fail(_notice: Any) -> None:
        raise LookupError("in the hook")

    sub.connected = fail  # type: ignore[assignment,method-assign] # a hook is a method
    sub.subscribe("a")
    sub.start()
    pub.publish("a", 1)
    assert sub.wait(1) == [1]
    assert "in the hook" in caplog.text


def test_event_must_be_overridden(es: Running) -> None:
    """Forgetting it is an error of the first subscription; an attribute will do as well."""
    with Subscriber(es.uri) as sub, Publisher(es.uri) as pub:
        for subscribe in (sub.subscribe, sub.subscribeMatch):
            with pytest.raises(TypeError, match=r"override event\(self, event\) first"):
                subscribe("a")
        assert es.subscriptions() == []
        sub.event = lambda event: sub.abort()  # type: ignore[method-assign] # as scripts do
        sub.subscribe("a")
        pub.publish("a", 1)
        sub.listen()


def test_events_are_handled_concurrently_when_asked(
    sub: Recording, pub: Publisher, es: Running
) -> None:
    """Several at once, none lost, acknowledged only when everything before is done."""
    together = threading.Barrier(3)
    sub.on_event = lambda event: together.wait(10) if event.msg < 3 else None
    sub.setThreading(True)
    sub.subscribe("a")
    sub.start()
    for number in range(1000):
        pub.post("a", number)
    pub.flush()
    assert sorted(sub.wait(1000)) == list(range(1000))
    assert len(sub.threads) > 1
    eventually(lambda: es.subscriber()["queued"] == 0)


def test_a_slow_handler_holds_back_acknowledgements(es: Running, pub: Publisher) -> None:
    """With threads, too, an unhandled event is not acknowledged."""
    release = threading.Event()
    with Recording(es.uri) as sub:
        sub.on_event = lambda event: release.wait(10) if event.msg == 0 else None
        sub.setThreading(True)
        sub.subscribe("a")
        sub.start()
        for number in range(3):
            pub.publish("a", number)
        eventually(lambda: len(sub.events) == 3)
        assert es.statistics()["delivered"] == 0
        release.set()
        eventually(lambda: es.statistics()["delivered"] == 3)


@pytest.mark.parametrize("threaded", [False, True])
def test_abort_and_close_from_inside_of_event(
    es: Running, delivery: Any, pub: Publisher, threaded: bool
) -> None:
    """Even closing is possible there."""
    sub = Recording(es.uri, delivery=delivery)
    sub.setThreading(threaded)
    sub.on_event = lambda _event: Subscriber.close(sub)
    sub.subscribe("a")
    sub.start()
    pub.publish("a", 1)
    sub.thread.join(10)
    assert not sub.thread.is_alive()
    assert sub.failure is None
    with pytest.raises(Closed):
        sub.listen()


def test_what_threads_leave_comes_with_the_next_listen(es: Running, pub: Publisher) -> None:
    """Aborting loses nothing when events are handled concurrently."""
    with Recording(es.uri) as sub:

        def handle(event: Any) -> None:
            if event.msg == 20:
                sub.abort()
            time.sleep(0.001)  # sleep: some are left when it is aborted

        sub.on_event = handle
        sub.setThreading(True)
        sub.subscribe("a")
        for number in range(300):
            pub.post("a", number)
        pub.flush()
        sub.listen()
        seen = len(sub.events)
        assert 20 <= seen < 300
        sub.setThreading(False)
        sub.start()
        assert sorted(sub.wait(300)) == list(range(300))


def test_closing_ends_the_subscription(es: Running, delivery: Any) -> None:
    """The event service forgets the subscriber at once."""
    with Recording(es.uri, delivery=delivery, name="lab bench") as sub:
        sub.subscribe("a")
        assert len(es.subscriptions()) == 1
        if delivery == "stream":
            assert es.subscriber()["subscriber"] == "lab bench"
    eventually(lambda: es.subscriptions() == [])
    sub.close()
    with pytest.raises(Closed):
        sub.subscribe("a")


def test_closing_at_any_moment_leaves_nothing_behind(es: Running, delivery: Any) -> None:
    """This holds while it connects, when a subscription may or may not have arrived."""

    def subscribe(sub: Subscriber) -> None:
        with contextlib.suppress(Closed):
            sub.subscribe("a")

    for number in range(15):
        sub = Recording(es.uri, delivery=delivery)
        thread = threading.Thread(target=subscribe, args=(sub,))
        thread.start()
        time.sleep(number / 5000)
        sub.close()
        thread.join(5)
        assert not thread.is_alive()
    eventually(lambda: es.subscriptions() == [])


def test_a_forgotten_subscriber_warns(es: Running, delivery: Any) -> None:
    """ResourceWarning is issued, and its threads end."""

    class Forgotten(Subscriber):
        def event(self, event: Event) -> None:
            """Do nothing."""

    sub = Forgotten(es.uri, delivery=delivery)
    sub.subscribe("a")
    with pytest.warns(ResourceWarning, match="unclosed subscriber"):
        del sub
    gc.collect()


def test_closing_ends_a_call_in_another_thread(tidy: None) -> None:
    """Subscribing to an event service that doesn't answer ends at once."""
    failures: list[Exception] = []

    def subscribe(sub: Subscriber) -> None:
        try:
            sub.subscribe("a")
        except Closed as error:
            failures.append(error)

    with FakeES() as es:
        es.answers["stream_subscribe"] = es.answers["detach"] = "ignore"
        with Recording(es.uri) as sub:
            thread = threading.Thread(target=subscribe, args=(sub,))
            thread.start()
            eventually(lambda: es.called("stream_subscribe"))
        thread.join(3)
        assert len(failures) == 1


def test_the_end_of_an_outage_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever was warned that there is no connection is told, as loudly, that there is one."""
    with caplog.at_level(logging.INFO), FakeES() as es, Recording(es.uri) as sub:
        sub.subscribe("a")
        es.cut()
        eventually(lambda: sub.statistics()["reconnects"] == 1)
        eventually(lambda: len(caplog.records) == 2)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "no connection" in caplog.messages[0]
    assert caplog.messages[1] == f"connected again to the event service: {es.uri}"


def test_what_happens_is_logged_sparingly(caplog: pytest.LogCaptureFixture) -> None:
    """There is one warning per outage, not one per attempt."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        uri = f"PYRO:Pyro.EventService@127.0.0.1:{server.getsockname()[1]}"
        with caplog.at_level(logging.INFO), Recording(uri) as sub:
            sub.start()
            for _ in range(5):
                server.accept()[0].close()
    assert caplog.text.count("no connection") == 1
