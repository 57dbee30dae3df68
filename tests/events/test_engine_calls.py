"""Stock Pyro5 proxies, unmodified, against the engine."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import Pyro5.api
import pytest
from Pyro5 import config
from Pyro5.errors import CommunicationError, PyroError, SerializeError

from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing
from tests.events.service_harness import SERIALIZERS, Recorder, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Make, Stock


METHODS = {
    "publish",
    "subscribe",
    "subscribeMatch",
    "unsubscribe",
    "statistics",
    "subscriptions",
}


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_publish_through_any_serializer(engine: Make, stock: Stock, serializer: str) -> None:
    """One Event per subject, in order, spelled as published, all with one time."""
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    with proxy(running.uri, serializer) as es:
        es.subscribe(["a", "B"], uri)
        es.publish(["B", "c", "A", "b"], {"price": 1.5, "n": [1, None, "x"]})
        eventually(lambda: len(recorder.events) == 3)
    assert [event.subject for event in recorder.events] == ["B", "A", "b"]
    assert len({event.time for event in recorder.events}) == 1
    assert recorder.messages() == [{"price": 1.5, "n": [1, None, "x"]}] * 3


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize(
    ("subjects", "error"),
    [("", ValueError), ([], ValueError), (["a", ""], ValueError), (5, TypeError), ([5], TypeError)],
)
def test_bad_subjects_raise_at_the_client(
    engine: Make, serializer: str, subjects: object, error: type[Exception]
) -> None:
    """ValueError and TypeError arrive as such in every serializer, and nothing was published."""
    running = engine()
    with proxy(running.uri, serializer) as es:
        for call in (
            lambda: es.publish(subjects, "x"),
            lambda: es.subscribe(subjects, "PYRO:x@localhost:1"),
            lambda: es.subscribeMatch(subjects, "PYRO:x@localhost:1"),
            lambda: es.unsubscribe(subjects, "PYRO:x@localhost:1"),
        ):
            with pytest.raises(error):
                call()
        found = es.statistics()
    assert (found["published"], found["subscribers"], found["refused"]) == (0, 0, 4)


@pytest.mark.parametrize(
    ("subscriber", "error"),
    [
        (None, TypeError),
        (5, TypeError),
        (["PYRO:x@localhost:1"], TypeError),
        ("nonsense", ValueError),
        ("PYRO:x@localhost:0", ValueError),
        ("PYRO:x@localhost:99999", ValueError),
        ("PYRONAME:x", ValueError),
        ("PYROMETA:x", ValueError),
    ],
)
def test_bad_subscribers_raise_at_the_client(
    engine: Make, subscriber: object, error: type[Exception]
) -> None:
    """An address that can't be called back is refused by name, before anything is done."""
    running = engine()
    with proxy(running.uri) as es, pytest.raises(error, match="subscriber"):
        es.subscribe("a", subscriber)
    assert running.subscriptions() == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"when_full": "never"}, ValueError),
        ({"queue_size": 0}, ValueError),
        ({"queue_size": "5"}, TypeError),
        ({"queue_size": True}, TypeError),
        ({"once": 1}, TypeError),
        ({"as_dict": "yes"}, TypeError),
        ({"colour": "red"}, TypeError),
    ],
)
def test_bad_options_change_nothing(
    engine: Make, options: dict[str, Any], error: type[Exception]
) -> None:
    """An option out of range is refused by name, and nothing is subscribed."""
    running = engine()
    with proxy(running.uri) as es, pytest.raises(error, match=next(iter(options))):
        es.subscribe("a", "PYRO:x@localhost:1", **options)
    assert running.subscriptions() == []


def test_a_bad_pattern_is_named(engine: Make) -> None:
    """An invalid regular expression is a ValueError with the pattern in it."""
    with proxy(engine().uri) as es, pytest.raises(ValueError, match=r"\(oops"):
        es.subscribeMatch(["fine", "(oops"], "PYRO:x@localhost:1")


@pytest.mark.parametrize("message", [datetime.now, object()])
def test_what_a_client_can_not_send_is_its_error(engine: Make, message: object) -> None:
    """A message that Pyro5 turns into a dict of a class is an error at publish."""
    with proxy(engine().uri) as es, pytest.raises((SerializeError, TypeError, ValueError)):
        es.publish("a", message)


def test_messages_that_arrive_as_unknown_types_are_refused(engine: Make) -> None:
    """A Pyro object as a message is refused where it was published, by its place."""
    with proxy(engine().uri) as es, pytest.raises(TypeError, match=r"message\['x'\].*Proxy"):
        es.publish("a", {"x": Pyro5.api.Proxy("PYRO:x@localhost:1")})


@pytest.mark.parametrize("kind", ["proxy", "uri", "text", "object"])
@pytest.mark.parametrize("serializer", ["serpent", "msgpack"])
def test_a_subscriber_may_be_given_in_four_ways(
    engine: Make, stock: Stock, kind: str, serializer: str
) -> None:
    """Proxy, URI, text, and the object itself (autoproxied) all mean the same subscriber."""
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    subscriber = {
        "proxy": Pyro5.api.Proxy(uri),
        "uri": Pyro5.api.URI(uri),
        "text": uri,
        "object": recorder,
    }[kind]
    with proxy(running.uri, serializer) as es:
        es.subscribe("a", subscriber)
        es.subscribe("A", uri)
        es.publish("a", 1)
        eventually(lambda: recorder.messages() == [1])
        assert running.subscriber()["subscriber"] == uri
        es.unsubscribe("a", subscriber)
    assert running.subscriptions() == []


def test_unsubscribe_takes_subject_and_pattern_of_one_text(engine: Make, stock: Stock) -> None:
    """`unsubscribe` removes both in one call; what was not subscribed is not an error."""
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    with proxy(running.uri) as es:
        es.subscribe(["abc", "other"], uri)
        es.subscribeMatch("abc", uri)
        es.publish("ABC", 1)
        eventually(lambda: recorder.messages() == [1, 1])
        es.unsubscribe(["ABC", "abc", "never"], uri)
        es.unsubscribe("abc", "PYRO:nobody@localhost:1")
        es.publish("abc", 2)
        es.publish("other", 3)
        eventually(lambda: recorder.messages() == [1, 1, 3])


def test_once_gives_one_copy(engine: Make, stock: Stock) -> None:
    """A subscriber with once=True gets one copy however many subscriptions match."""
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    with proxy(running.uri) as es:
        es.subscribe("abc", uri, once=True)
        es.subscribeMatch(["a", "ab"], uri)
        es.publish("abc", 1)
        es.publish("abc", 2)
        eventually(lambda: recorder.messages() == [1, 2])


def test_oneway_publishes_stay_in_order(engine: Make, stock: Stock) -> None:
    """Oneway calls of one proxy are executed in order, unlike in a stock daemon."""
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    with proxy(running.uri) as es:
        es.subscribe("a", uri)
        es._pyroOneway.add("publish")
        for number in range(500):
            es.publish("a", number)
        eventually(lambda: len(recorder.events) == 500)
    assert recorder.messages() == list(range(500))
    assert recorder.overlaps == 0


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_batch_proxy(engine: Make, stock: Stock, serializer: str) -> None:
    """Batched calls give their results in order; the first exception ends the batch."""
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    with proxy(running.uri, serializer) as es:
        batch = Pyro5.api.BatchProxy(es)
        batch.subscribe("a", uri)
        batch.publish("a", 1)
        batch.publish("", 2)
        batch.publish("a", 3)
        results = batch()
        assert [next(results), next(results)] == [None, None]
        with pytest.raises(ValueError, match="empty"):
            next(results)
        eventually(lambda: recorder.messages() == [1])
        batch = Pyro5.api.BatchProxy(es)
        batch.publish("a", 4)
        batch.publish("a", 5)
        batch(oneway=True)
        eventually(lambda: recorder.messages() == [1, 4, 5])


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_metadata_and_ping(engine: Make, serializer: str) -> None:
    """Binding, metadata and liveness work as with a stock daemon."""
    running = engine()
    with proxy(running.uri, serializer) as es:
        es._pyroBind()
        assert es._pyroMethods == METHODS
        assert es._pyroOneway == set()
        with pytest.raises(AttributeError):
            es.attach("x")
    with proxy(running.uri.replace(EVENTSERVICE_NAME, "Pyro.Daemon"), serializer) as daemon:
        daemon.ping()
        assert set(daemon.get_metadata(EVENTSERVICE_NAME)["methods"]) == METHODS
        assert EVENTSERVICE_NAME in daemon.registered()
        assert "Pyro.Daemon" in daemon.info()
        with pytest.raises(PyroError, match="unknown object"):
            daemon.get_metadata("nobody")


def test_private_and_unknown_methods_are_refused(engine: Make) -> None:
    """Only the methods of the interface can be called, whatever a client claims."""
    with proxy(engine().uri) as es:
        es._pyroBind()
        for name in ("_broker", "__init__", "public", "nonsense", "publish.__self__"):
            with pytest.raises(AttributeError, match="no exposed"):
                es._pyroInvoke(name, [], {})
        with pytest.raises(TypeError):
            es._pyroInvoke("publish", ["a"], {})
        with pytest.raises(PyroError, match="unknown object"):
            es._pyroInvoke("publish", ["a", 1], {}, objectId="nobody")


def test_an_unknown_object_is_refused(engine: Make) -> None:
    """A URI with another object's id is refused as a stock daemon does it."""
    uri = engine().uri.replace(EVENTSERVICE_NAME, "nobody")
    with proxy(uri) as es, pytest.raises(CommunicationError, match="unknown object"):
        es._pyroBind()


def test_marshal_is_for_trusted_clients(engine: Make, stock: Stock) -> None:
    """marshal is refused with a hint, unless the deployment declares clients trusted."""
    with proxy(engine().uri, "marshal") as es, pytest.raises(CommunicationError, match="serpent"):
        es._pyroBind()
    recorder = Recorder()
    uri = stock().register(recorder)
    with proxy(engine(trusted=True).uri, "marshal") as es:
        es.subscribe("a", uri)
        es.publish("a", (1, {2}, b"3"))
        eventually(lambda: recorder.messages() == [(1, {2}, b"3")])
        with pytest.raises(ValueError, match="empty"):
            es.publish("", 1)


def test_marshal_requests_of_strangers_are_refused(engine: Make) -> None:
    """A client can't switch to marshal after an innocent handshake either."""
    with proxy(engine().uri) as es:
        es._pyroBind()
        es._pyroSerializer = "marshal"
        with pytest.raises(ValueError, match="marshal is not accepted"):
            es.publish("a", 1)


def test_a_blob_is_refused(engine: Make) -> None:
    """A SerializedBlob is refused with a hint."""
    with proxy(engine().uri) as es, pytest.raises(SerializeError, match="SerializedBlob"):
        es.publish(Pyro5.api.SerializedBlob("info", [1, 2]))


def test_compressed_requests(engine: Make, stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients with COMPRESSION on are understood."""
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    monkeypatch.setattr(config, "COMPRESSION", True)
    with proxy(running.uri) as es:
        es.subscribe("a", uri)
        es.publish("a", "x" * 5000)
        eventually(lambda: recorder.messages() == ["x" * 5000])


def test_the_identification(engine: Make) -> None:
    """A stock proxy gets in with a greeting; one that sends the secret is told how."""
    running = engine(ident="secret")
    with proxy(running.uri, ident="secret") as es:
        assert es.statistics()["published"] == 0
    for wrong in ("hello", "secret", None, 5, {"ident": "secret"}, ["secret"], "sécret"):
        with (
            proxy(running.uri, handshake=wrong) as es,
            pytest.raises(CommunicationError, match=r"never in clear: call pyro_events.identified"),
        ):
            es._pyroBind()
    with (
        proxy(running.uri, ident="Secret") as es,
        pytest.raises(CommunicationError, match="wrong identification"),
    ):
        es._pyroBind()


def test_a_large_message_is_refused_and_the_connection_lives(engine: Make) -> None:
    """A message beyond the limit is a ValueError at the publisher, which can go on."""
    running = engine(max_message_size=100_000)
    with proxy(running.uri) as es:
        with pytest.raises(ValueError, match="too large"):
            es.publish("a", "x" * 5_000_000)
        es.publish("a", "x" * 50_000)
        assert es.statistics()["published"] == 1


def test_a_message_larger_than_a_queue_is_refused(engine: Make) -> None:
    """A message that no queue can hold is a ValueError at the publisher."""
    with proxy(engine(queue_bytes=10_000).uri) as es, pytest.raises(ValueError, match="queue"):
        es.publish("a", "x" * 20_000)


def test_statistics_count(engine: Make, stock: Stock) -> None:
    """The counters say what happened."""
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    with proxy(running.uri) as es:
        es.subscribe(["a", "b"], uri)
        es.subscribeMatch("c", uri)
        es.publish(["a", "b", "x"], 1)
        eventually(lambda: es.statistics()["delivered"] == 2)
        found = es.statistics()
        assert {key: found[key] for key in ("subscribers", "subscriptions", "published")} == {
            "subscribers": 1,
            "subscriptions": 3,
            "published": 3,
        }
        assert found["uri"] == running.uri
        assert found["incarnation"] == running.engine.incarnation
        assert found["connections"] == 1
        assert found["dropped"] == found["errors"] == found["queued"] == 0
        (entry,) = es.subscriptions()
    assert entry == {
        "subscriber": uri,
        "kind": "callback",
        "aware": False,
        "subjects": ["a", "b"],
        "patterns": ["c"],
        "suspended": [],
        "queued": 0,
        "queue_size": 10_000,
        "when_full": "drop-oldest",
        "delivered": 2,
        "dropped": 0,
        "unmatched": 0,
        "errors": 0,
        "state": "connected",
    }


def test_pings_are_answered(engine: Make, wire_client: Any) -> None:
    """A PING of Pyro5's protocol is answered with the same sequence number."""
    client = wire_client(engine())
    client.send(framing.PING, b"ping", seq=77)
    answer = client.frame()
    assert (answer.type, answer.seq, answer.data) == (framing.PING, 77, b"pong")
