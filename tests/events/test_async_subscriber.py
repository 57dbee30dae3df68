"""The subscriber for asyncio: iteration, cancellation, reconnecting, and nothing left over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import AsyncSubscriber, EventService, Publisher
from pyro_events.errors import Refused
from pyro_wire import backoff
from tests.events.client_fixtures import FakeES
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pyro_events.types import ConnectionNotice, GapNotice
    from tests.events.service_harness import Running

pytestmark = pytest.mark.usefixtures("tidy")
NOBODY = "PYRO:Pyro.EventService@127.0.0.1:1"


@pytest.fixture
def es(engine: Callable[..., Running]) -> Running:
    return engine()


@pytest.fixture(params=["stream", "callback"])
def delivery(request: pytest.FixtureRequest) -> Any:
    return request.param


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, 30))


async def collect(sub: AsyncSubscriber, count: int) -> list[Any]:
    found = []
    async for event in sub:
        found.append(event.msg)
        if len(found) == count:
            break
    return found


def test_events_are_iterated_in_order(es: Running, delivery: Any) -> None:
    """All events since subscribing arrive, by subject and by pattern."""

    async def main() -> None:
        async with AsyncSubscriber(es.uri, delivery=delivery) as sub:
            await sub.subscribe("a")
            await sub.subscribeMatch("b.*")
            with Publisher(es.uri) as pub:
                for number in range(500):
                    pub.post(("a", "bb")[number % 2], number)
            assert await collect(sub, 500) == list(range(500))

    run(main())


def test_leaving_the_loop_and_coming_back_loses_nothing(es: Running) -> None:
    """Iteration resumes where it stopped."""

    async def main() -> None:
        async with AsyncSubscriber(es.uri) as sub:
            await sub.subscribe("a")
            with Publisher(es.uri) as pub:
                for number in range(10):
                    pub.post("a", number)
            assert await collect(sub, 4) == [0, 1, 2, 3]
            assert await collect(sub, 6) == [4, 5, 6, 7, 8, 9]

    run(main())


def test_the_event_in_progress_is_not_acknowledged_yet() -> None:
    """An event that the program hasn't finished comes again after its crash."""

    async def main() -> None:
        with FakeES() as es:
            async with AsyncSubscriber(es.uri) as sub:
                await sub.subscribe("a")
                es.push(1, b"1", b"2")
                es.push(3, b"3")
                seen = []
                async for event in sub:
                    seen.append((event.msg, list(es.acks)))
                    if len(seen) == 3:
                        break
                assert [message for message, _ in seen] == [b"1", b"2", b"3"]
                assert all(2 not in acks for _, acks in seen[:2])
                assert 3 not in es.acks

    run(main())


def test_unsubscribing(es: Running, delivery: Any) -> None:
    """Unsubscribing takes effect before it returns."""

    async def main() -> None:
        async with AsyncSubscriber(es.uri, delivery=delivery) as sub:
            await sub.subscribe(["a", "b"])
            await sub.unsubscribe("a")
            with Publisher(es.uri) as pub:
                pub.publish("a", 1)
                pub.publish("b", 2)
            assert await collect(sub, 1) == [2]

    run(main())


def test_cancelling_is_clean(es: Running) -> None:
    """A cancelled iteration can be followed by another one, and nothing is lost."""

    async def main() -> None:
        async with AsyncSubscriber(es.uri) as sub:
            await sub.subscribe("a")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(collect(sub, 1), 0.05)
            with Publisher(es.uri) as pub:
                pub.publish("a", 1)
            assert await collect(sub, 1) == [1]

    run(main())


def test_cancelling_the_whole_program_is_clean(es: Running, delivery: Any) -> None:
    """A task group ends in order, and the event service forgets the subscriber."""

    async def listen() -> None:
        async with AsyncSubscriber(es.uri, delivery=delivery) as sub:
            await sub.subscribe("a")
            async for _ in sub:
                pass

    async def main() -> None:
        task = asyncio.create_task(listen())
        await asyncio.to_thread(lambda: eventually(es.subscriptions))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    eventually(lambda: es.subscriptions() == [])


def test_cancelling_a_subscription_that_cannot_be_made() -> None:
    """A program can stop waiting for an event service that isn't there."""

    async def main() -> None:
        async with AsyncSubscriber(NOBODY) as sub:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sub.subscribe("a"), 0.1)

    run(main())


def test_closing_ends_the_iteration(es: Running) -> None:
    """Another task may close."""

    async def main() -> None:
        async with AsyncSubscriber(es.uri) as sub:
            task = asyncio.create_task(collect(sub, 1))
            await asyncio.sleep(0)
            await sub.close()
            assert await task == []

    run(main())


def test_every_close_waits_until_it_is_closed(es: Running) -> None:
    """Leaving `async with` while another task closes leaves no thread behind."""

    async def main() -> None:
        async with AsyncSubscriber(es.uri) as sub:
            await sub.subscribe("a")
            closing = asyncio.ensure_future(sub.close())
            await asyncio.sleep(0)
        assert sub._subscription.link._thread is None
        await closing

    run(main())


def test_other_tasks_run_while_it_waits(es: Running) -> None:
    """Waiting for events blocks no other task."""

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        async with AsyncSubscriber(es.uri) as sub:
            await sub.subscribe("a")
            ticker = asyncio.create_task(tick())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(collect(sub, 1), 0.2)
            ticker.cancel()
        assert ticks > 10

    run(main())


class Hooked(AsyncSubscriber):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.hooks: list[str] = []

    def connected(self, notice: ConnectionNotice) -> None:
        self.hooks.append("connected")

    def disconnected(self, notice: ConnectionNotice) -> None:
        self.hooks.append("disconnected")
        raise LookupError("a hook's own fault")

    def gap(self, notice: GapNotice) -> None:
        self.hooks.append(f"gap {notice['reason']}")


def test_restarts_are_survived_and_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Hooks are called while iterating, as those of a Subscriber are."""
    monkeypatch.setattr(backoff, "LAST", 0.1)

    async def main() -> None:
        first = EventService(register=False)
        first.start()
        uri, port = first.uri, int(first.uri.rpartition(":")[2])
        async with Hooked(uri) as sub:
            await sub.subscribe("a")
            first.publish("a", 1)
            assert await collect(sub, 1) == [1]
            await asyncio.to_thread(first.stop)
            with EventService(port=port, register=False) as second:
                await asyncio.to_thread(lambda: eventually(second.subscriptions))
                second.publish("a", 2)
                assert await collect(sub, 1) == [2]
                assert sub.hooks == ["connected", "disconnected", "connected"]
                await sub.close()

    run(main())
    assert "a hook's own fault" in caplog.text


def test_a_refusal_is_raised(engine: Callable[..., Running]) -> None:
    """Both subscribing and iterating raise it."""
    es = engine(ident="secret")

    async def main() -> None:
        async with AsyncSubscriber(es.uri, ident="guess") as sub:
            with pytest.raises(Refused):
                await sub.subscribe("a")
            with pytest.raises(Refused):
                await collect(sub, 1)

    run(main())


@pytest.mark.parametrize("subject", ["", 7, []])
def test_bad_arguments_are_errors_at_once(subject: Any) -> None:
    """They are raised without any event service."""

    async def main() -> None:
        async with AsyncSubscriber(NOBODY) as sub:
            for call in (sub.subscribe, sub.subscribeMatch, sub.unsubscribe):
                with pytest.raises((ValueError, TypeError)):
                    await call(subject)

    run(main())


def test_iterating_needs_async_with() -> None:
    """Otherwise the subscriber would stay open."""

    async def main() -> None:
        sub = AsyncSubscriber(NOBODY)
        with pytest.raises(RuntimeError, match="async with"):
            await collect(sub, 1)
        await sub.close()

    run(main())


def test_a_forgotten_one_warns(es: Running) -> None:
    """ResourceWarning is issued, and its threads end."""

    async def main() -> None:
        sub = AsyncSubscriber(es.uri)
        await sub.subscribe("a")
        with pytest.warns(ResourceWarning, match="unclosed subscriber"):
            del sub

    run(main())
