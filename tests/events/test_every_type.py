"""Every type of message, through every kind of publisher, to every kind of subscriber."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from Pyro5.serializers import serializers

from pyro_events import AsyncSubscriber, Publisher, codec
from tests.events.client_fixtures import Recording
from tests.events.service_harness import SERIALIZERS, Recorder, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.service_harness import Make, Running, Stock

pytestmark = pytest.mark.usefixtures("each_codec")


class Sample:
    """A user class, registered by every helper and unknown to the event service."""

    def __init__(self, value: int) -> None:
        self.value = value


codec.register(Sample, "tests.every_type.Sample", vars, lambda state: Sample(state["value"]))

VALUES: list[Any] = [
    None, True, 0, -(2**63), 2**64 - 1, 2**70, -(2**70), 1.5, math.inf, math.nan, "", "é",
    b"", b"\xff\x00", [], [1, [2, "x"]], {}, {"a": {"b": [1]}}, {1: 2}, {(1, "x"): 3}, {None: 1},
    {1.5: b"x"}, (), (1, (2,)), [(1,)], set(), {1, "x"}, frozenset({1}), {frozenset({2})}, 1j,
    date(2026, 1, 2), time(1, 2, 3, 4), time(1, 2, tzinfo=UTC), timedelta(-1, 2, 3),
    datetime(2026, 1, 2, 3, 4, 5, 6), datetime(2026, 1, 2, tzinfo=UTC),  # noqa: DTZ001 - one without a zone
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-3, minutes=-30), "here")),
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    Decimal("1.50"), Decimal("-Infinity"), UUID(int=5), Sample(7), [Sample(8), (1,)],
    {"price": Decimal("2.5"), "raw": b"x", "when": [date(2026, 1, 2)], "tags": frozenset({"a"})},
]  # fmt: skip

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**80), 2**80), st.floats(), st.text(max_size=9),
    st.binary(max_size=9), st.complex_numbers(allow_nan=False), st.dates(), st.times(),
    st.datetimes(), st.datetimes(timezones=st.just(UTC)), st.timedeltas(),
    st.decimals(allow_nan=False), st.uuids(), st.builds(Sample, st.integers(0, 9)),
)  # fmt: skip
keys = st.text(max_size=5).filter(lambda text: "__" not in text) | st.integers(0, 99)
messages = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.sets(st.integers() | st.text(max_size=3), max_size=3),
        st.frozensets(st.integers(), max_size=3),
    ),
    max_leaves=8,
)

_MARSHAL = {type(None), bool, int, float, str, bytes, complex, Sample}


def shape(value: Any) -> Any:
    """Return a value that is equal exactly for values of the same types and contents."""
    kind = type(value)
    if kind in (list, tuple):
        return kind, [shape(item) for item in value]
    if kind in (set, frozenset):
        return kind, sorted(repr(shape(item)) for item in value)
    if kind is dict:
        return kind, [(shape(key), shape(item)) for key, item in value.items()]
    if kind is Sample:
        return kind, value.value
    return kind, repr(value)


def fits_marshal(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(fits_marshal, value.keys())) and all(map(fits_marshal, value.values()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(fits_marshal, value))
    return type(value) in _MARSHAL


def through(name: str, message: Any) -> Any:
    """Return a message as it arrives through one of Pyro5's serializers."""
    return serializers[name].loads(serializers[name].dumps({"msg": message}))["msg"]


def as_dict(message: Any) -> Any:
    """Return what a subscriber with as_dict=True gets, according to the manual."""
    return message if fits_marshal(message) else through("serpent", message)


@contextmanager
def async_subscriber(uri: str) -> Iterator[list[Any]]:
    """Iterate an AsyncSubscriber in a thread; returns the list of its messages."""
    found: list[Any] = []
    ready = threading.Event()
    ends: list[Callable[[], object]] = []

    async def iterate() -> None:
        async with AsyncSubscriber(uri) as subscriber:
            await subscriber.subscribe("a")
            loop = asyncio.get_running_loop()
            ends.append(lambda: asyncio.run_coroutine_threadsafe(subscriber.close(), loop))
            ready.set()
            async for event in subscriber:
                found.append(event.msg)  # noqa: PERF401 - read during the loop

    thread = threading.Thread(target=lambda: asyncio.run(iterate()))
    thread.start()
    assert ready.wait(10)
    try:
        yield found
    finally:
        ends[0]()
        thread.join(10)
        assert not thread.is_alive()


class World:
    """An event service with every kind of subscriber, and every kind of publisher."""

    def __init__(self, es: Running, stock: Stock, stack: ExitStack) -> None:
        helpers = [
            stack.enter_context(Recording(es.uri, delivery=way)) for way in ("stream", "callback")
        ]
        for helper in helpers:
            helper.subscribe("a")
            helper.start()
        self._stock, self._dicts = Recorder(), Recorder()
        daemon = stock()
        with proxy(es.uri) as subscribing:
            subscribing.subscribe("a", daemon.register(self._stock))
            subscribing.subscribe("a", daemon.register(self._dicts), as_dict=True)
        found = stack.enter_context(async_subscriber(es.uri))
        self._kinds: dict[str, Callable[[], list[Any]]] = {
            "stream": helpers[0].messages,
            "callback": helpers[1].messages,
            "async": lambda: found,
            "stock": self._stock.messages,
            "as_dict": lambda: [event["msg"] for event in self._dicts.events],
        }
        self._publisher = stack.enter_context(Publisher(es.uri))
        self._proxies = {name: stack.enter_context(proxy(es.uri, name)) for name in SERIALIZERS}
        self._count = 0

    def check(self, message: Any) -> None:
        """Send the message in every way that can carry it, and check all that arrives."""
        sent = [message, message]
        self._publisher.publish("a", message)
        self._publisher.post("a", message)
        self._publisher.flush()
        for name, es in self._proxies.items():
            try:
                carried = through(name, message)
                codec.pack(carried)
            except Exception:  # noqa: BLE001 - that is how serializers say no
                continue
            es.publish("a", message)
            sent.append(carried)
        self._count += len(sent)
        for kind, messages in self._kinds.items():
            eventually(lambda got=messages: len(got()) >= self._count, f"{kind} of {message!r}")
            expected = [as_dict(each) for each in sent] if kind == "as_dict" else sent
            got = messages()[-len(sent) :]
            assert list(map(shape, got)) == list(map(shape, expected)), kind


def test_every_type_arrives_in_every_way(engine: Make, stock: Stock) -> None:
    """It arrives unchanged, or as the manual describes for stock clients and as_dict."""
    with ExitStack() as stack:
        world = World(engine(), stock, stack)
        for value in VALUES:
            world.check(value)

        @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
        @given(messages)
        def check(message: Any) -> None:
            world.check(message)

        check()
