"""Which thread reads a helper's connection: one that waits for data, else the link's."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import msgpack
import pytest

from pyro_events import Publisher
from pyro_events.errors import Unreachable
from pyro_wire import backoff, framing
from tests.events.client_fixtures import FakeES, Recording
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyro_events._client.receiving.subscription import Subscription
    from pyro_events._client.sender import Sender

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "LAST", 0.1)


@pytest.fixture
def es(tidy: None) -> Iterator[FakeES]:
    with FakeES() as fake:
        yield fake


def readers(owner: Sender | Subscription) -> list[int]:
    """Note which threads hand frames to a link's owner from now on."""
    seen: list[int] = []
    received = owner.received

    def note(frame: framing.Frame) -> None:
        seen.append(threading.get_ident())
        received(frame)

    owner.received = note  # type: ignore[method-assign] # that's how to look on
    return seen


def borrowed(owner: Sender | Subscription) -> Callable[[], bool]:
    """Return whether there is a connection that the link's thread doesn't read."""
    return lambda: owner._connection is not None and not owner._connection.acquired


def test_listen_reads_its_events_itself(es: FakeES) -> None:
    """No other thread has to wake the one that handles events."""
    with Recording(es.uri) as sub:
        sub.start()
        eventually(borrowed(sub._subscription))
        seen = readers(sub._subscription)
        for number in range(1, 6):
            es.push(number, b"x")
        sub.wait(5)
        assert set(seen) == {sub.thread.ident}
        eventually(lambda: es.acks and es.acks[-1] == 5)


def test_a_call_is_answered_while_an_event_is_handled(es: FakeES) -> None:
    """Subscribing does not wait for a handler in another thread."""
    release = threading.Event()
    with Recording(es.uri) as sub:
        sub.on_event = lambda _event: release.wait(20)
        sub.start()
        eventually(borrowed(sub._subscription))
        es.push(1, b"slow")
        eventually(lambda: sub.events)
        began = time.monotonic()
        sub.subscribe("more")
        assert time.monotonic() - began < 3
        es.push(2, b"next")
        release.set()
        assert sub.wait(2) == [b"slow", b"next"]


def test_an_answer_that_comes_after_an_event_does_not_wait_for_it(es: FakeES) -> None:
    """The listening thread may be busy in a handler while an answer is still to come."""
    release = threading.Event()
    es.answers["stream_subscribe"] = "ignore"
    with Recording(es.uri) as sub:
        sub.on_event = lambda _event: release.wait(20)
        sub.start()
        eventually(borrowed(sub._subscription))
        call = threading.Thread(target=sub.subscribe, args=("more",))
        call.start()
        eventually(lambda: es.called("stream_subscribe"))
        es.push(1, b"slow")
        eventually(lambda: sub.events)
        es.send(framing.RESULT, msgpack.packb(None), seq=2)  # the attach was the first call
        call.join(3)
        release.set()
        assert not call.is_alive()


def test_listen_continues_after_the_link_has_read_for_it(es: FakeES) -> None:
    """Events keep their order however often the reader changes."""
    with Recording(es.uri) as sub:
        sub.on_event = lambda event: sub.subscribe(f"s{event.msg}") if event.msg % 3 == 0 else None
        sub.start()
        eventually(borrowed(sub._subscription))
        for number in range(1, 61):
            es.push(number, number)
        assert sub.wait(60) == list(range(1, 61))
        eventually(lambda: es.acks and es.acks[-1] == 60)
        assert sub.gaps() == []


def test_abort_from_a_signal_handler_ends_listen(es: FakeES) -> None:
    """This holds while the listening thread itself waits for the socket."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("only the main thread handles signals")
    with Recording(es.uri) as sub:
        before = signal.signal(signal.SIGUSR1, lambda *_: sub.abort())
        try:

            def interrupt() -> None:
                eventually(borrowed(sub._subscription))
                os.kill(os.getpid(), signal.SIGUSR1)

            thread = threading.Thread(target=interrupt)
            thread.start()
            sub.listen()
            thread.join(5)
        finally:
            signal.signal(signal.SIGUSR1, before)


def test_publish_reads_its_own_answer(es: FakeES) -> None:
    """From the second one on no other thread takes part in an acknowledged publish."""
    with Publisher(es.uri) as pub:
        for number in range(2):
            pub.publish("a", number)
        assert borrowed(pub._sender)()
        seen = readers(pub._sender)
        for number in range(2, 7):
            pub.publish("a", number)
        assert seen == [threading.get_ident()] * 5
        assert len(es.taken) == 7


def test_posts_are_acknowledged_by_themselves_after_a_publish(es: FakeES) -> None:
    """The link's thread reads again without any call."""
    with Publisher(es.uri) as pub:
        pub.publish("a", 0)
        for number in range(3):
            pub.publish("a", number)
            assert borrowed(pub._sender)()
            pub.post("a", number)
            eventually(lambda: pub.statistics()["pending"] == 0)
        assert pub.statistics()["acked"] == 7


def test_a_publish_that_gave_up_leaves_reading_to_the_link(es: FakeES) -> None:
    """A late answer still settles what was posted in between."""
    with Publisher(es.uri, timeout=0.2) as pub:
        pub.publish("a", 0)
        es.on_batch = lambda _batch: "ignore"
        with pytest.raises(Unreachable):
            pub.publish("a", 1)
        es.on_batch = lambda _batch: "ack"
        es.cut()
        eventually(lambda: pub.statistics()["pending"] == 0)


def test_a_broken_connection_is_noticed_while_no_call_reads(es: FakeES) -> None:
    """The link's thread watches for the end even when it leaves reading to others."""
    with Publisher(es.uri) as pub:
        pub.publish("a", 0)
        pub.publish("a", 1)
        assert borrowed(pub._sender)()
        es.cut()
        eventually(lambda: pub.statistics()["reconnects"] == 1)
        pub.publish("a", 2)
        assert len(es.taken) == 3


def test_many_threads_publish_and_post_at_once(es: FakeES) -> None:
    """Every publish returns, every post is acknowledged, whichever thread reads."""
    with Publisher(es.uri) as pub:

        def work(thread: int) -> None:
            for number in range(100):
                (pub.post if (number + thread) % 3 else pub.publish)("a", [thread, number])

        threads = [threading.Thread(target=work, args=(each,)) for each in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
        eventually(lambda: pub.statistics()["pending"] == 0)
        assert pub.statistics()["acked"] == 400
        assert len(es.taken) == 400
