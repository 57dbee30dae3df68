"""A publisher against a scripted event service: nothing is lost, duplicated or reordered."""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Publisher, codec
from pyro_events.errors import Closed, EventServiceError, NotPublished, Refused, Unreachable
from pyro_wire import backoff
from pyro_wire.framing import encode_frame
from tests.events.client_fixtures import FakeES, time_over_once_failed
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("tidy")
NOBODY = "PYRO:Pyro.EventService@127.0.0.1:1"


@pytest.fixture
def es(tidy: None) -> Iterator[FakeES]:
    with FakeES() as fake:
        yield fake


def messages(es: FakeES) -> list[Any]:
    return [codec.unpack(body) for _, body, _ in es.taken]


def test_publish_returns_when_the_event_service_has_it(es: FakeES) -> None:
    """After the call the event is there, with its subjects and its message."""
    with Publisher(es.uri) as pub:
        pub.publish(["Stock", "quotes"], ("SUN", 22.44))
        assert es.taken == [[["Stock", "quotes"], codec.pack(("SUN", 22.44)), False]]
        pub.publish("raw", b"\xff", opaque=True)
        assert es.taken[1] == [["raw"], b"\xff", True]
        assert pub.statistics() == {
            "published": 2, "posted": 0, "acked": 2, "failed": 0, "withdrawn": 0,
            "retries": 0, "reconnects": 0, "pending": 0, "pending_bytes": 0,
        }  # fmt: skip


def test_posted_events_arrive_by_themselves(es: FakeES) -> None:
    """A post is sent without a flush."""
    with Publisher(es.uri) as pub:
        pub.post("a", 1)
        eventually(lambda: messages(es) == [1])


def test_publish_and_post_keep_their_order(es: FakeES) -> None:
    """One publisher's events arrive in the order of its calls."""
    with Publisher(es.uri) as pub:
        for number in range(600):
            (pub.publish if number % 97 == 0 else pub.post)("a", number)
        pub.flush()
        assert messages(es) == list(range(600))


@pytest.mark.parametrize(
    ("subjects", "message", "opaque", "error"),
    [
        ("", 1, False, ValueError),
        ([], 1, False, ValueError),
        (5, 1, False, TypeError),
        (["a", None], 1, False, TypeError),
        ("a" * 256, 1, False, ValueError),
        ("a", object(), False, TypeError),
        ("a", [bytearray()], False, TypeError),
        ("a", "text", True, TypeError),
    ],
)
def test_bad_arguments_are_errors_at_once(
    subjects: Any, message: Any, opaque: bool, error: type[Exception]
) -> None:
    """Publish and post raise them without an event service, and buffer nothing."""
    with Publisher(NOBODY) as pub:
        for method in (pub.publish, pub.post):
            with pytest.raises(error):
                method(subjects, message, opaque=opaque)
        assert pub.statistics()["pending"] == 0


@pytest.mark.parametrize(
    ("es", "error"),
    [("nonsense", ValueError), ("PYRO:x", ValueError), ("PYROMETA:x", ValueError), (7, TypeError)],
)
def test_a_wrong_address_is_an_error_at_once(es: Any, error: type[Exception]) -> None:
    """The constructor's error has the reason."""
    with pytest.raises(error, match="es must be"):
        Publisher(es)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"max_pending": 0}, {"max_pending_bytes": 0}])
def test_senseless_limits_are_errors_at_once(options: dict[str, Any]) -> None:
    """A publisher that could never send anything is not created."""
    with pytest.raises(ValueError, match="must be"):
        Publisher(NOBODY, **options)


def test_an_absent_event_service_is_a_clear_error_in_time() -> None:
    """It has the address and the reason, and the event doesn't reach a later service."""
    with FakeES() as gone:
        port, uri = gone.port, gone.uri
    with Publisher(uri, timeout=0.3) as pub:
        refused = f"within 0.3 s.*127.0.0.1:{port}.*Connection refused"
        with time_over_once_failed(pub, 0.3), pytest.raises(Unreachable, match=refused):
            pub.publish("a", "withdrawn")
        pub._timeout = 20
        with FakeES(port) as late:
            pub.publish("a", "second")
            assert messages(late) == ["second"]


def test_attempts_to_connect_leave_the_programs_random_numbers_alone() -> None:
    """A program that has seeded `random` gets the same numbers, whatever a link's thread does."""
    with Publisher(NOBODY, timeout=0.3) as pub:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backoff, "LAST", 0.01)
            before = random.getstate()
            failures: list[object] = []
            patch.setattr(pub._sender, "disconnected", failures.append)
            pub._sender.link.start()
            eventually(lambda: len(failures) > 5)
        assert random.getstate() == before


def test_a_wrong_identification_is_refused_at_once() -> None:
    """Waiting would not help; with the right one it works."""
    with FakeES(ident="secret") as es:
        pub = Publisher(es.uri, ident="guess")
        start = time.monotonic()
        with pytest.raises(Refused, match="does not prove that it has this identification"):
            pub.publish("a", 1)
        pub.post("a", 2)
        with pytest.raises(Refused, match="does not prove that it has this identification"):
            pub.flush()
        with pytest.raises(Refused):
            pub.close()
        assert time.monotonic() - start < 5
        with Publisher(es.uri, ident="secret") as pub:
            pub.publish("a", 3)


def test_something_else_on_the_port_is_refused_by_name(tidy: None) -> None:
    """Another Pyro service is recognized as not an event service."""
    with FakeES() as es:
        es.greeting = "hello"
        pub = Publisher(es.uri)
        with pytest.raises(Refused, match="not an event service with protocol version 2"):
            pub.publish("a", 1)
        with pytest.raises(Refused):
            pub.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not Pyro's protocol"),
        (encode_frame(2, 4, 0, 0, b"\xc1"), "garbage"),
        (encode_frame(2, 99, 0, 0, b"x"), "garbage"),
        (encode_frame(2, 4, 0, 0, b"\x01"), "something else"),
        (encode_frame(5, 4, 0, 0, b"\x80"), "something else"),
        (b"", "closed the connection"),
    ],
)
def test_strange_answers_are_clear_errors(answer: bytes, words: str) -> None:
    """Any server at that port leads to a clear error."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                connection, _ = server.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        try:
            with (
                Publisher(f"PYRO:Pyro.EventService@127.0.0.1:{port}", timeout=0.2) as pub,
                time_over_once_failed(pub, 0.2),
                pytest.raises(Unreachable, match=words),
            ):
                pub.publish("a", 1)
        finally:
            stop.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join(5)


@pytest.mark.parametrize("seed", range(6))
def test_broken_connections_neither_lose_nor_duplicate_nor_reorder(
    es: FakeES, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds whether or not a batch was taken before the connection broke."""
    monkeypatch.setattr(backoff, "LAST", 0.05)
    chance = random.Random(seed)
    es.on_batch = lambda _batch: chance.choice(["ack", "ack", "lose", "deafen"])
    with Publisher(es.uri, timeout=40) as pub:
        for number in range(1500):
            pub.post("a", number)
            if chance.random() < 0.005:
                pub.publish("a", -number)
            if chance.random() < 0.005:
                es.cut()
        es.on_batch = lambda _batch: "ack"
        pub.flush(30)
        assert [abs(message) for message in messages(es) if message >= 0] == list(range(1500))
        assert len(messages(es)) == len(set(messages(es)))
        statistics = pub.statistics()
        assert statistics["reconnects"] > 0
        assert statistics["retries"] > 0
        assert statistics["acked"] == statistics["published"] + statistics["posted"]


def test_a_restarted_event_service_is_found_again() -> None:
    """What was posted while it was away arrives."""
    with FakeES() as first:
        port = first.port
        pub = Publisher(first.uri)
        pub.publish("a", 1)
    for number in range(2, 50):
        pub.post("a", number)
    with FakeES(port) as second:
        pub.flush(20)
        assert messages(second) == list(range(2, 50))
        pub.close()


def test_a_full_buffer_blocks_up_to_the_timeout(es: FakeES) -> None:
    """Posting waits for room, at most the timeout; waiting ends as soon as there is room."""
    es.on_batch = lambda _batch: "ignore"
    pub = Publisher(es.uri, max_pending=10, timeout=0.3)
    for number in range(10):
        pub.post("a", number)
    with pytest.raises(Unreachable, match="10 events are waiting already"):
        pub.post("a", 10)
    assert pub.statistics()["pending"] == 10
    es.on_batch = lambda _batch: "ack"
    es.cut()
    pub._timeout = 20
    pub.post("a", 10)
    pub.close()
    assert messages(es) == list(range(11))


def test_the_buffer_is_bounded_in_bytes(es: FakeES) -> None:
    """Few large messages fill it as many small ones do."""
    es.on_batch = lambda _batch: "ignore"
    pub = Publisher(es.uri, max_pending_bytes=100_000, timeout=0.2)
    with pytest.raises(Unreachable):
        for _ in range(10):
            pub.post("a", bytes(30_000))
    assert pub.statistics()["pending"] == 4
    es.on_batch = lambda _batch: "ack"
    es.cut()
    pub._timeout = 20
    pub.close()


def test_a_refused_event_is_raised_where_it_was_published(es: FakeES) -> None:
    """The event service's own error reaches the caller; the publisher goes on."""
    with Publisher(es.uri) as pub:
        es.on_batch = lambda _batch: ValueError("too large")
        with pytest.raises(ValueError, match="too large"):
            pub.publish("a", 1)
        es.on_batch = lambda _batch: "ack"
        pub.publish("a", 2)
        assert messages(es) == [2]
        assert pub.statistics()["failed"] == 1


def test_refused_posts_are_counted_logged_and_raised_by_flush(
    es: FakeES, caplog: pytest.LogCaptureFixture
) -> None:
    """None is lost silently, and the next flush succeeds."""
    with Publisher(es.uri) as pub, caplog.at_level(logging.ERROR, "pyro_events"):
        es.on_batch = lambda _batch: ValueError("too large")
        pub.post("a", 1)
        eventually(lambda: pub.statistics()["failed"] == 1)
        pub.post("a", 2)
        with pytest.raises(NotPublished, match=r"2 events were not published: too large") as caught:
            pub.flush()
        assert caught.value.count == 2
        assert isinstance(caught.value.__cause__, ValueError)
        pub.flush()
    assert caplog.text.count("refused by the event service: too large") == 2


def test_threads_share_a_publisher(es: FakeES) -> None:
    """Each thread's events arrive complete and in order."""

    def work(name: int) -> None:
        for number in range(200):
            (pub.publish if number % 50 == 0 else pub.post)("a", (name, number))

    with Publisher(es.uri, timeout=30) as pub:
        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pub.flush(30)
    for name in range(8):
        assert [n for who, n in messages(es) if who == name] == list(range(200))


def test_closing_flushes(es: FakeES) -> None:
    """Leaving the with statement is enough for posts to arrive; later calls raise."""
    with Publisher(es.uri) as pub:
        for number in range(300):
            pub.post("a", number)
    assert messages(es) == list(range(300))
    pub.close()
    for call in (pub.publish, pub.post):
        with pytest.raises(Closed):
            call("a", 1)


def test_closing_is_bounded_and_reports_what_is_lost() -> None:
    """Without an event service close gives up after the timeout."""
    pub = Publisher(NOBODY, timeout=0.3)
    pub.post("a", 1)
    start = time.monotonic()
    with pytest.raises(Unreachable, match="1 events are waiting"):
        pub.close()
    assert time.monotonic() - start < 5
    pub.close()


def test_an_error_in_the_with_block_is_not_masked(caplog: pytest.LogCaptureFixture) -> None:
    """The loss of posts is logged in addition."""
    with pytest.raises(KeyError), Publisher(NOBODY, timeout=0.2) as pub:
        pub.post("a", 1)
        raise KeyError
    assert "posted events were lost" in caplog.text


def test_flush_has_a_timeout(es: FakeES) -> None:
    """It raises in time, and the events are still to be sent."""
    es.on_batch = lambda _batch: "ignore"
    pub = Publisher(es.uri)
    pub.post("a", 1)
    with pytest.raises(Unreachable, match=r"within 0.2 s; 1 events are waiting"):
        pub.flush(0.2)
    es.on_batch = lambda _batch: "ack"
    es.cut()
    pub.close()
    assert messages(es) == [1]


def test_a_publisher_that_never_published_needs_no_event_service() -> None:
    """Closing it does not connect."""
    with Publisher(NOBODY) as pub:
        pub.flush()
    assert pub.statistics()["pending"] == 0


def test_a_forgotten_publisher_warns(es: FakeES) -> None:
    """ResourceWarning has the number of pending events; its threads end after the time-out."""
    pub = Publisher(es.uri, timeout=0.5)
    pub.publish("a", 1)
    es.on_batch = lambda _batch: "ignore"
    pub.post("a", 2)
    with pytest.warns(ResourceWarning, match="unclosed publisher with 1 events pending"):
        del pub


def test_closing_ends_a_publish_in_another_thread(es: FakeES) -> None:
    """That call raises Closed instead of waiting on."""
    es.on_batch = lambda _batch: "ignore"
    pub = Publisher(es.uri, timeout=5)
    failures: list[Exception] = []

    def publish() -> None:
        try:
            pub.publish("a", 1)
        except EventServiceError as error:
            failures.append(error)

    thread = threading.Thread(target=publish)
    thread.start()
    eventually(lambda: es.called("publish_batch"))
    pub._timeout = 0.1
    with pytest.raises(Unreachable):
        pub.close()
    thread.join(3)
    assert isinstance(failures[0], Closed)
