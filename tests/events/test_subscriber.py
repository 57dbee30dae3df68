"""A subscriber against a real engine: its events, and its errors and gaps."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from pyro_events import Publisher, Subscriber, codec
from pyro_events.errors import NotPublished, Refused, Unreachable
from tests.events.client_fixtures import Recording
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def test_events_arrive_by_subject_and_pattern(sub: Recording, pub: Publisher) -> None:
    """One copy a matching subscription, with the publisher's spelling, ignoring case."""
    sub.subscribe(["stock", "bond"])
    sub.subscribeMatch("^STOCK.*")
    sub.start()
    pub.publish(["Stock", "STOCK.SUN", "Bond", "other"], {"price": (1, 2)})
    sub.wait(4)
    assert [event.subject for event in sub.events] == ["Stock", "Stock", "STOCK.SUN", "Bond"]
    assert sub.messages() == [{"price": (1, 2)}] * 4
    assert len({event.time for event in sub.events}) == 1


def test_events_wait_for_listen(sub: Recording, pub: Publisher) -> None:
    """Subscribing is enough for events to be kept; they come in order once listen runs."""
    sub.subscribe("a")
    for number in range(1500 if sub._subscription.__class__.__name__ == "Callback" else 900):
        pub.post("a", number)
    pub.flush()
    assert sub.events == []
    sub.start()
    assert sub.wait(900)[:900] == list(range(900))


def test_everything_arrives_once_and_in_order(sub: Recording, pub: Publisher) -> None:
    """One subscriber gets many batches without a hole."""
    sub.subscribe("a")
    sub.start()
    for number in range(5000):
        pub.post("a", number)
    pub.flush()
    assert sub.wait(5000) == list(range(5000))
    assert sub.threads == {sub.thread.ident}
    assert sub.statistics() == {
        "received": 5000, "errors": 0, "undecodable": 0, "gaps": 0, "reconnects": 0,
    }  # fmt: skip


def test_once_means_one_copy(es: Running, delivery: Any, pub: Publisher) -> None:
    """This holds however many subscriptions match."""
    with Recording(es.uri, delivery=delivery, once=True) as sub:
        sub.subscribe("a")
        sub.subscribeMatch(["a", ".*"])
        sub.start()
        pub.publish("a", 1)
        pub.publish("a", 2)
        sub.wait(2)
        assert sub.messages() == [1, 2]


def test_unsubscribe_takes_effect_before_it_returns(sub: Recording, pub: Publisher) -> None:
    """It removes subjects and patterns of that text, and nothing else."""
    sub.subscribe(["a", "b"])
    sub.subscribeMatch("a")
    sub.unsubscribe(["A", "a", "never subscribed"])
    pub.publish(["a", "b"], 1)
    sub.start()
    sub.wait(1)
    assert [event.subject for event in sub.events] == ["b"]


def test_a_subscriber_changes_its_subscriptions_from_inside_of_event(
    sub: Recording, pub: Publisher
) -> None:
    """It may do so there as anywhere, with immediate effect."""

    def change(event: Any) -> None:
        if event.subject == "a":
            sub.subscribe("b")
            sub.subscribeMatch("c.*")
            sub.unsubscribe("a")
            ready.set()

    ready = threading.Event()
    sub.on_event = change
    sub.subscribe("a")
    sub.start()
    pub.publish("a", 1)
    assert ready.wait(10)
    pub.publish(["a", "b", "cc"], 2)
    sub.wait(3)
    assert [event.subject for event in sub.events] == ["a", "b", "cc"]


@pytest.mark.parametrize(
    ("call", "argument", "error"),
    [
        ("subscribe", "", ValueError),
        ("subscribe", [], ValueError),
        ("subscribe", 7, TypeError),
        ("subscribe", ["a", "b" * 256], ValueError),
        ("subscribeMatch", "(", ValueError),
        ("subscribeMatch", ["a", 7], TypeError),
        ("unsubscribe", None, TypeError),
        ("unsubscribe", [], ValueError),
    ],
)
def test_bad_arguments_change_nothing(call: str, argument: Any, error: type[Exception]) -> None:
    """They are errors at once, without any event service."""
    with Recording(NOBODY) as sub, pytest.raises(error):
        getattr(sub, call)(argument)


@pytest.mark.parametrize(
    "options", [{"delivery": "pigeon"}, {"es": "nonsense"}, {"es": "PYROMETA:a"}]
)
def test_senseless_options_are_errors_at_once(options: dict[str, Any]) -> None:
    """The constructor's error has the reason."""
    with pytest.raises(ValueError, match="must be"):
        Subscriber(**options)


@pytest.mark.parametrize("options", [{"queue_size": 1 << 40}])
def test_options_that_the_event_service_refuses_are_errors(
    es: Running, delivery: Any, options: dict[str, Any]
) -> None:
    """The event service's own error reaches the caller."""
    name = next(iter(options))
    with Recording(es.uri, delivery=delivery, **options) as sub:
        with pytest.raises((Refused, ValueError), match=name):
            sub.subscribe("a")
        if delivery == "stream":
            with pytest.raises(Refused, match=name):
                sub.listen()


def test_an_absent_event_service_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Subscribing gives up in time with the reason, and changes nothing."""
    monkeypatch.setattr("pyro_events._client.receiving.subscription.TIMEOUT", 0.3)
    with Recording(NOBODY) as sub:
        sub.start()
        eventually(lambda: sub._subscription._failure, "the first attempt has failed")
        with pytest.raises(Unreachable, match=r"127.0.0.1:1 can't be reached: Connection refused"):
            sub.subscribe("a")
        assert not sub._subscription.subscriptions.subjects


def test_a_wrong_identification_is_refused(engine: Callable[..., Running], delivery: Any) -> None:
    """Subscribing and listening raise it; with the right one they work."""
    es = engine(ident="secret")
    with Recording(es.uri, ident="guess", delivery=delivery) as sub:
        with pytest.raises(Refused, match="does not prove that it has this identification"):
            sub.subscribe("a")
        with pytest.raises(Refused, match="does not prove that it has this identification"):
            sub.listen()
    with Recording(es.uri, ident="secret", delivery=delivery) as sub:
        sub.subscribe("a")


@pytest.mark.parametrize("size", [1 << 20, 5 << 20])
def test_large_messages_travel(sub: Recording, pub: Publisher, size: int) -> None:
    """They arrive complete, in both directions."""
    message = bytes(range(256)) * (size // 256)
    sub.subscribe("a")
    sub.start()
    pub.publish("a", message)
    pub.post("a", [message])
    assert sub.wait(2) == [message, [message]]


def test_too_large_messages_are_refused_and_nothing_else(es: Running, pub: Publisher) -> None:
    """They raise ValueError, and the events around them arrive."""
    with Recording(es.uri) as sub:
        sub.subscribe("a")
        sub.start()
        pub.post("a", 1)
        with pytest.raises(ValueError, match="too large"):
            pub.publish("a", bytes(17 << 20))
        pub.post("a", bytes(17 << 20))
        pub.post("a", 2)
        with pytest.raises(NotPublished, match=r"1 event was not published: .*too large"):
            pub.flush()
        assert sub.wait(2) == [1, 2]


class Sample:
    def __init__(self, value: int) -> None:
        self.value = value


def test_a_message_that_cannot_be_decoded_is_a_gap(
    es: Running, pub: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, counted and reported; the events around it arrive."""
    other = codec.Codec()
    other.register(Sample, f"lab.{uuid4().hex}", lambda s: {"v": s.value}, lambda d: Sample(d["v"]))
    with Recording(es.uri) as sub:
        sub.subscribe("a")
        sub.start()
        pub.publish("a", 1)
        pub._sender.publish((("a",), other.pack(Sample(2)), False), 10)
        pub.publish("a", 3)
        assert sub.wait(2) == [1, 3]
        (gap,) = sub.gaps()
        assert (gap["missed"], gap["reason"], gap["subject"]) == (1, "undecodable", "a")
        assert sub.statistics()["undecodable"] == 1
        assert "isn't registered here" in caplog.text


def test_opaque_bytes_arrive_as_they_are(sub: Recording, pub: Publisher) -> None:
    """The event service never opens them."""
    sub.subscribe("a")
    sub.start()
    pub.publish("a", b"\x93\xff", opaque=True)
    assert sub.wait(1) == [b"\x93\xff"]


def test_a_full_queue_is_a_gap(engine: Callable[..., Running], delivery: Any) -> None:
    """The subscriber gets the number of lost events, and every event is accounted for."""
    es = engine(window=1, batch_events=5)
    release = threading.Event()
    options: dict[str, Any] = {"queue_size": 10, "when_full": "drop-newest"}
    total = 5000
    with Recording(es.uri, delivery=delivery, **options) as sub, Publisher(es.uri) as pub:
        sub.on_event = lambda _event: release.wait(20)
        sub.subscribe("a")
        sub.start()
        for number in range(total):
            pub.post("a", number)
        pub.flush()
        release.set()
        eventually(lambda: len(sub.events) + sum(g["missed"] or 0 for g in sub.gaps()) == total)
        assert {gap["reason"] for gap in sub.gaps()} == {"full"}
        assert sub.messages() == sorted(set(sub.messages()))
        assert sub.statistics()["gaps"] == len(sub.gaps()) > 0


def test_a_subscriber_disconnected_for_a_full_queue_comes_back(
    engine: Callable[..., Running], delivery: Any
) -> None:
    """It gets the reason, subscribes again by itself, and gets later events."""
    es = engine(window=1, batch_events=5)
    release = threading.Event()
    options: dict[str, Any] = {"queue_size": 10, "when_full": "disconnect"}
    with Recording(es.uri, delivery=delivery, **options) as sub, Publisher(es.uri) as pub:
        sub.on_event = lambda _event: release.wait(20)
        sub.subscribe("a")
        sub.start()
        for _ in range(5000):
            pub.post("a", "many")
        pub.flush()
        assert es.statistics()["dropped"] > 0
        release.set()
        eventually(lambda: [s["queued"] for s in es.subscriptions()] == [0], "back again")
        pub.publish("a", "afterwards")
        eventually(lambda: sub.messages()[-1:] == ["afterwards"])
        times = sub.hook_names().count("disconnected")  # it may come back while others publish on
        assert sub.hook_names() == ["connected", *["disconnected", "connected", "gap"] * times]
        assert times
        (_, gone), (_, gap) = sub.hooks[1], sub.hooks[3]
        assert (gone["reason"], gap["reason"], gap["missed"]) == ("full", "full", None)


def test_a_suspended_pattern_is_reported(es: Running, delivery: Any, pub: Publisher) -> None:
    """Its owner's notice names it."""
    with Recording(es.uri, delivery=delivery) as sub:
        sub.subscribeMatch("(a|aa)+$")
        sub.start()
        for _ in range(3):
            pub.publish("a" * 60 + "b", 1)
        (gap,) = eventually(lambda: [gap for gap in sub.gaps() if gap["suspended"]])
        assert (gap["reason"], gap["pattern"], gap["missed"]) == ("pattern", "(a|aa)+$", None)
