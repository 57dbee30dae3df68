"""User classes, registered on both ends, through every kind of publisher and subscriber."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from Pyro5.serializers import serializers

from pyro_events import AsyncSubscriber, Publisher, codec
from pyro_events.codec import Codec
from tests.events.client_fixtures import Recording
from tests.events.service_harness import Recorder, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.service_harness import Running, StockDaemon

pytestmark = pytest.mark.usefixtures("each_codec")


@dataclass
class Point:
    x: Any
    y: Any


class Pixel(Point):
    """A subclass with nothing of its own."""


@dataclass
class Track:
    name: str
    points: list[Point]


@pytest.fixture
def classes() -> Iterator[None]:
    codec.register(Point, "lab.Point", vars, lambda d: Point(**d))
    codec.register(Track, "lab.Track", vars, lambda d: Track(**d))
    yield
    codec.unregister(Point)
    codec.unregister(Track)


TRACK = Track("one", [Point(1, 2), Point(Point(1.5, None), "y")])
NESTED = {"tracks": [TRACK, {"at": Point(0, 0)}], "one": Point(TRACK, [TRACK])}


@pytest.mark.parametrize("delivery", ["stream", "callback"])
def test_objects_arrive_at_helpers(
    classes: None, engine: Callable[..., Running], delivery: Any
) -> None:
    """They may be published, posted, or published by a bare proxy, and nested in each other."""
    es = engine()
    with Recording(es.uri, delivery=delivery) as sub, Publisher(es.uri) as pub:
        sub.subscribe("a")
        sub.start()
        pub.publish("a", NESTED)
        pub.post("a", (NESTED,))
        pub.flush()
        for serializer in ("serpent", "json", "msgpack"):
            with proxy(es.uri, serializer) as bare:
                bare.publish("a", NESTED)
        got = sub.wait(5)
        assert got[0] == NESTED
        assert got[1][0] == NESTED
        assert got[2:] == [NESTED] * 3


def test_objects_arrive_in_asyncio(classes: None, engine: Callable[..., Running]) -> None:
    """They arrive as in the other helper."""
    es = engine()

    async def receive() -> Any:
        async with AsyncSubscriber(es.uri) as sub:
            await sub.subscribe("a")
            with Publisher(es.uri) as pub:
                pub.post("a", NESTED)
            async for event in sub:
                return event.msg
        return None

    assert asyncio.run(receive()) == NESTED


@pytest.mark.parametrize("as_dict", [False, True])
def test_objects_arrive_at_stock_subscribers(
    classes: None,
    engine: Callable[..., Running],
    stock: Callable[..., StockDaemon],
    as_dict: bool,
) -> None:
    """The subscribers know the class; the event service need not."""
    es, recorder = engine(), Recorder()
    uri = stock().register(recorder)
    with proxy(es.uri) as bare, Publisher(es.uri) as pub:
        bare.subscribe("a", uri, as_dict=as_dict)
        pub.publish("a", NESTED)
        (event,) = eventually(lambda: recorder.events)
    assert (event["msg"] if as_dict else event.msg) == NESTED


def test_a_subscriber_without_the_class_gets_a_gap(
    engine: Callable[..., Running],
) -> None:
    """The event is counted as undecodable, and the next one comes."""
    es = engine()
    with Recording(es.uri) as sub, Publisher(es.uri) as pub:
        sub.subscribe("a")
        codec.register(Point, "elsewhere.Point", vars, lambda d: Point(**d))
        pub.publish("a", Point(1, 2))
        codec.unregister(Point)
        pub.publish("a", 2)
        sub.start()
        assert sub.wait(1) == [2]
        (gap,) = sub.gaps()
        assert gap["reason"] == "undecodable"
        assert "'elsewhere.Point' of an object in the message isn't registered" in gap["detail"]


def test_subclasses_are_registered_themselves_or_refused(classes: None) -> None:
    """Otherwise they would arrive as their base."""
    words = "message['p'][0]: test_codec_classes.Pixel can't be sent; use a type that can, or regis"
    with pytest.raises(TypeError, match="^" + re.escape(words)):
        codec.pack({"p": [Pixel(1, 2)]})
    codec.register(Pixel, "lab.Pixel", vars, lambda d: Pixel(**d))
    try:
        both = codec.unpack(codec.pack([Pixel(1, 2), Point(1, 2)]))
    finally:
        codec.unregister(Pixel)
    assert [type(each) for each in both] == [Pixel, Point]


def test_a_name_means_one_class(classes: None) -> None:
    """A second use is refused by the codec and by Pyro5, and changes nothing."""
    with pytest.raises(ValueError, match=r"'lab\.Point' is registered for another class"):
        codec.register(Pixel, "lab.Point", vars, lambda d: Pixel(**d))
    for name in ("pyro_events.Event", "Pyro5.core.URI"):
        with pytest.raises(ValueError, match="reserved"):
            codec.register(Pixel, name, vars, lambda d: Pixel(**d))
    with pytest.raises(TypeError, match="register a class under a name"):
        codec.register(Pixel, "", vars, lambda d: Pixel(**d))
    assert codec.unpack(codec.pack(Point(1, 2))) == Point(1, 2)
    assert serializers["json"].loads(serializers["json"].dumps(Point(1, 2))) == Point(1, 2)


def test_registering_again_replaces(classes: None) -> None:
    """The old name is free again, in the codec and in Pyro5."""
    codec.register(Point, "lab.P", lambda p: {"xy": [p.x, p.y]}, lambda d: Point(*d["xy"]))
    codec.register(Pixel, "lab.Point", vars, lambda d: Pixel(**d))
    try:
        assert b"lab.P" in codec.pack(Point(1, 2))
        for value in (Point(1, 2), Pixel(3, 4)):
            again = codec.unpack(codec.pack(value))
            assert (type(again), again) == (type(value), value)
    finally:
        codec.unregister(Pixel)


def test_unregistering_takes_it_back() -> None:
    """It takes effect in the codec and in Pyro5's serializers; twice is an error."""
    codec.register(Point, "lab.Point", vars, lambda d: Point(**d))
    packed, stock = codec.pack(Point(1, 2)), serializers["json"].dumps(Point(1, 2))
    codec.unregister(Point)
    with pytest.raises(TypeError, match="Point can't be sent"):
        codec.pack(Point(1, 2))
    with pytest.raises(
        ValueError, match=r"isn't registered here; call pyro_events\.codec\.register"
    ):
        codec.unpack(packed)
    with pytest.raises(Exception, match=r"unsupported serialized class: lab\.Point"):
        serializers["json"].loads(stock)
    with pytest.raises(ValueError, match="Point isn't registered"):
        codec.unregister(Point)


@pytest.mark.parametrize(
    ("to_dict", "words"),
    [
        (lambda _: [1], "must return a dict"),
        (lambda _: {"__class__": "lab.Other"}, "without the key '__class__'"),
        (lambda p: {"x": len(p.x)}, "has no len"),
    ],
)
def test_a_bad_to_dict_is_reported_with_the_path(to_dict: Any, words: str) -> None:
    """The error is raised where the object is published."""
    own = Codec()
    own.register(Point, "lab.Point", to_dict, lambda d: Point(**d))
    with pytest.raises(
        TypeError, match=r"^message\['p'\]: test_codec_classes.Point can't.*" + words
    ):
        own.pack({"p": Point(1, 2)})


@pytest.mark.parametrize("state", [{}, {"x": 1, "y": 2, "z": 3}, None, 7])
def test_a_from_dict_that_fails_makes_the_message_a_bad_one(state: Any) -> None:
    """Whatever it raises, the receiver gets a ValueError."""
    own = Codec()
    own.register(Point, "lab.Point", lambda _: {"s": state}, lambda d: Point(**d["s"]))
    with pytest.raises(ValueError, match="not a message: TypeError"):
        own.unpack(own.pack(Point(1, 2)))
