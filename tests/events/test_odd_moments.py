"""Helpers used where Python runs code unasked: finalizers, handlers of logs, ended loops."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import AsyncSubscriber, Publisher, Subscriber, codec
from pyro_events.errors import NotPublished
from tests.events.client_fixtures import FakeES
from tests.harness import eventually

if TYPE_CHECKING:
    from pyro_events import Event
    from tests.events.service_harness import Running

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture
def es(engine: Any) -> Running:
    running: Running = engine()
    return running


def test_finalizers_publish_amid_publishing(es: Running) -> None:
    """Garbage is collected at every few allocations, and what is collected posts."""

    class Garbage:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            pub.post("garbage", 1)

    before = gc.get_threshold()
    with Publisher(es.uri) as pub:
        gc.set_threshold(5)
        try:
            for number in range(300):
                Garbage()
                pub.publish("a", number)
        finally:
            gc.set_threshold(*before)
        gc.collect()
        pub.flush()
        counts = pub.statistics()
        assert (counts["posted"], counts["acked"], counts["reconnects"]) == (300, 600, 0)


def test_signal_handlers_post_amid_posting(es: Running) -> None:
    """What a handler posts while its thread posts or publishes arrives, and arrives once."""
    posted = 0

    def handle(*_: object) -> None:
        nonlocal posted
        posted += 1
        pub.post("signal", posted)

    old = signal.signal(signal.SIGALRM, handle)
    try:
        with Publisher(es.uri) as pub:
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
            for number in range(1000):
                pub.post("a", number)
                pub.publish("a", number)
            signal.setitimer(signal.ITIMER_REAL, 0)
            pub.flush()
            counts = pub.statistics()
            assert counts["acked"] == posted + 2000
            assert (counts["failed"], counts["reconnects"]) == (0, 0)
            assert es.statistics()["published"] == posted + 2000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_a_slow_log_handler(tidy: None) -> None:
    """While a log handler is busy with a rejection, all calls of the publisher work."""
    with FakeES() as es:
        es.on_batch = lambda _batch: ValueError("no")
        log, handler = logging.getLogger("pyro_events"), logging.NullHandler()
        handler.createLock()

        def handle(_record: logging.LogRecord) -> bool:
            handler.acquire()
            handler.release()
            return True

        handler.handle = handle  # type: ignore[assignment, method-assign] # as slow as its lock
        log.addHandler(handler)
        try:
            with Publisher(es.uri) as pub:
                handler.acquire()
                try:
                    pub.post("a", 1)
                    eventually(lambda: pub._sender._counts["failed"] == 1)
                    es.on_batch = lambda _batch: "ack"
                    assert pub.statistics()["failed"] == 1
                    pub.post("a", 2)
                finally:
                    handler.release()
                with pytest.raises(NotPublished):
                    pub.flush()
        finally:
            log.removeHandler(handler)
        assert [codec.unpack(body) for _, body, _ in es.taken] == [2]


@pytest.mark.parametrize("delivery", ["stream", "callback"])
def test_event_publishes(es: Running, delivery: Any) -> None:
    """An event may be answered from where it is handled, also to the subscriber itself."""
    got: list[int] = []

    class Echo(Subscriber):
        def event(self, event: Event) -> None:
            got.append(event.msg)
            if event.msg == 5:
                self.abort()
            pub.publish("a", event.msg + 1)
            pub.post("b", 0)

    with Publisher(es.uri) as pub, Echo(es.uri, delivery=delivery) as echo:
        echo.subscribe("a")
        pub.publish("a", 0)
        echo.listen()
    assert got == [0, 1, 2, 3, 4, 5]


def test_log_handlers_post(es: Running) -> None:
    """A log handler may publish what the helpers themselves log."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            pub.post("log", record.getMessage())

    log, handler = logging.getLogger("pyro_events"), Handler()
    log.addHandler(handler)
    try:
        with Publisher(es.uri) as pub:
            pub.publish("a", 1)
            pub._sender._connection._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
            eventually(lambda: pub.statistics()["reconnects"] == 1)
            eventually(lambda: pub.statistics()["acked"] >= 2)
    finally:
        log.removeHandler(handler)


def test_who_publishes_in_the_helpers_own_thread(es: Running) -> None:
    """A log handler that runs there can't wait for itself: `publish` and `flush` raise at once."""
    raised: list[Exception] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            for call in (lambda: pub.publish("log", 1), pub.flush):
                try:
                    call()
                except RuntimeError as error:
                    raised.append(error)
                pub.post("log", 2)

    log, handler = logging.getLogger("pyro_events"), Handler()
    log.addHandler(handler)
    try:
        with Publisher(es.uri, timeout=20) as pub:
            pub.publish("a", 1)
            pub._sender._connection._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
            eventually(lambda: len(raised) >= 2, deadline=10)
            eventually(lambda: pub.statistics()["acked"] >= 3)
    finally:
        log.removeHandler(handler)
    assert "post()" in str(raised[0])
    assert "flush()" in str(raised[1])


def test_a_loop_that_ended(es: Running) -> None:
    """Events for a loop that is closed are nobody's, and hold up nothing."""
    sub = AsyncSubscriber(es.uri)

    async def main() -> None:
        await sub.__aenter__()
        await sub.subscribe("a")

    asyncio.run(main())
    with Publisher(es.uri) as pub:
        for number in range(10):
            pub.publish("a", number)
    asyncio.run(sub.close())
    eventually(lambda: not es.subscriptions())
