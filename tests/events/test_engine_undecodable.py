"""Events that a stock daemon can't decode: they cost themselves, and no time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import Pyro5.api
import pytest
from Pyro5.serializers import SerializerBase, serializers_by_id

from pyro_events import codec
from pyro_events._broker.delivery.callback.messages import describe, unknown_class
from pyro_wire import framing
from tests.events.service_harness import Recorder, proxy
from tests.events.test_engine_callback import post, send
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.events.service_harness import Make, Stock

pytestmark = pytest.mark.usefixtures("each_codec")


class Frame:
    pass


@pytest.fixture
def frame() -> bytes:
    """A message with an object of a class that the subscriber doesn't know."""
    made = codec.Codec()
    made.register(Frame, "lab.Frame", vars, lambda _: Frame())
    return made.pack([Frame()])


@pytest.fixture
def known() -> Iterator[None]:
    SerializerBase.register_dict_to_class("lab.Frame", lambda _name, _values: "a frame")
    yield
    SerializerBase.unregister_dict_to_class("lab.Frame")


@pytest.mark.parametrize("bad", ["object", "dict"])
def test_events_around_them_arrive_at_once(
    engine: Make, stock: Stock, frame: bytes, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the first one is tried; the others are errors without being sent."""
    running, recorder, times = engine(), Recorder(), list[float]()
    recorder.hook = lambda _event: times.append(time.monotonic())
    body = frame if bad == "object" else codec.pack({"__class__": "lab.Frame"})
    with proxy(running.uri) as es:
        es.subscribe("a", stock().register(recorder), as_dict=True)
    bodies = [each for number in range(10) for each in (body, codec.pack(number))]
    send(running, "a", *bodies)
    eventually(lambda: len(recorder.events) == 10)
    assert [event["msg"] for event in recorder.events] == list(range(10))
    assert times[-1] - times[0] < 0.5
    assert running.subscriber()["errors"] == 10
    assert running.statistics()["retries"] == 0
    assert "SerializeError: unsupported serialized class: lab.Frame (register" in caplog.text
    assert "as_dict" not in caplog.text
    assert "trying again" not in caplog.text


def test_one_that_subscribes_again_may_know_more(
    engine: Make, stock: Stock, frame: bytes, request: pytest.FixtureRequest
) -> None:
    """What it could not decode before is tried once more."""
    running, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    with proxy(running.uri) as es:
        es.subscribe("a", uri, as_dict=True)
        send(running, "a", frame, frame)
        eventually(lambda: running.subscriber()["errors"] == 2)
        request.getfixturevalue("known")
        es.subscribe("a", uri, as_dict=True)
    send(running, "a", frame)
    eventually(lambda: len(recorder.events) == 1)
    assert recorder.events[0]["msg"] == ["a frame"]


def test_other_subscribers_get_them(engine: Make, stock: Stock, frame: bytes, known: None) -> None:
    """What one daemon can't decode is its own affair."""
    running, event, plain = engine(), Recorder(), Recorder()
    with proxy(running.uri) as es:
        es.subscribe("a", stock().register(event))
        es.subscribe("a", stock().register(plain), as_dict=True)
    send(running, "a", frame, codec.pack(1))
    eventually(lambda: len(event.events) == len(plain.events) == 2)
    assert event.messages() == [["a frame"], 1]


@pytest.mark.parametrize("number", [framing.SERPENT, framing.MARSHAL, framing.MSGPACK])
def test_what_a_daemon_answers_is_shown_without_its_encoding(number: int) -> None:
    """The log shows the exception of an answer, in whatever serializer that came."""
    error = Pyro5.errors.SerializeError("unsupported serialized class: lab.Frame")
    text = f"Pyro5.errors.SerializeError: {error}"
    error._pyroTraceback = ["Traceback (most recent call last):\n", f"{text}\n"]
    data: Any = serializers_by_id[number].dumps(error)
    frame = framing.Frame(framing.RESULT, number, framing.EXCEPTION, 0, b"", bytes(data))
    assert describe(frame) in (text, text.removeprefix("Pyro5.errors."))
    assert unknown_class(describe(frame)) == "lab.Frame"
    for cut in range(len(frame.data)):  # a hostile daemon's
        describe(frame._replace(data=frame.data[:cut]))


def test_subscribing_something_without_event(engine: Make, stock: Stock) -> None:
    """Its caller hears of it, if it is known there; what was subscribed before stays."""

    @Pyro5.api.expose
    class Evnt:
        def evnt(self, event: object) -> None:
            pass

    running, recorder, daemon = engine(), Recorder(), stock()
    wrong = Evnt()
    daemon.register(wrong)
    with proxy(running.uri) as es, proxy(daemon.register(recorder)) as right:
        for subscribe in (es.subscribe, es.subscribeMatch):
            with pytest.raises(TypeError, match=r"no exposed method `event`, only evnt"):
                subscribe("a", wrong)
        right._pyroBind()
        es.subscribe("a", right)
        es.unsubscribe("a", wrong)
    post(running, "a", 1)
    eventually(lambda: recorder.messages() == [1])
