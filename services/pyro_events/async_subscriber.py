"""The subscriber's side for asyncio: subscribe, and iterate."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from queue import Empty
from typing import TYPE_CHECKING, Any, Self

from pyro_events._client.process import check_threads
from pyro_events._client.receiving.base import SubscriberBase
from pyro_events._client.receiving.inbox import Failure, Notice, Wake
from pyro_events._protocol.event import Undecodable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._client.receiving.inbox import Delivery, Item
    from pyro_events._protocol.event import Event

__all__ = ["AsyncSubscriber"]


class AsyncSubscriber(SubscriberBase):
    """Receives events in an asyncio program: `async for event in subscriber`.

    The arguments are those of `Subscriber`. A thread of its own keeps the connection; everything
    else happens in the event loop that entered `async with`, and the methods belong to that loop.
    Iteration waits for an event service that isn't there, and for one that went away; it ends when
    the subscriber is closed. It raises `pyro_events.errors.Refused` when the first connection is
    refused. An event counts as handled when the next one is requested.
    """

    def _prepare(self) -> None:
        self._arrived: asyncio.Event | None = None
        self._delivery: Delivery | None = None
        self._events: deque[Event | Undecodable] = deque()
        self._handled = 0
        self._closing: asyncio.Future[None] | None = None

    async def subscribe(self, subjects: str | Sequence[str]) -> None:
        """Receive the events about these subjects from now on; see `Subscriber.subscribe`."""
        await _in_thread(self._subscription.subscribe, subjects)

    async def subscribeMatch(self, patterns: str | Sequence[str]) -> None:  # noqa: N802 - the original's name
        """Receive the events whose subject matches; see `Subscriber.subscribeMatch`."""
        await _in_thread(self._subscription.subscribe_match, patterns)

    async def unsubscribe(self, subjects: str | Sequence[str]) -> None:
        """Stop receiving events about these subjects; see `Subscriber.unsubscribe`."""
        await _in_thread(self._subscription.unsubscribe, subjects)

    def _after_fork(self, inherited: Any) -> None:
        super()._after_fork(inherited)
        self._delivery = inherited

    async def close(self) -> None:
        """End the subscriptions and the iteration, and disconnect.

        A call while another one closes the subscriber waits for it.
        """
        if sys.is_finalizing():
            self._closed = True
            return
        if self._closing is None:
            self._closed = True
            self._inbox.put(Wake())
            loop = asyncio.get_running_loop()
            self._closing = loop.run_in_executor(None, self._subscription.close)
        await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._inbox.on_put = _in_loop(loop, self._arrived.set)
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._closed:
            if not self._events:
                self._acknowledge()
                self._process(await self._next_item())
                continue
            event = self._events.popleft()
            self._handled += 1
            if not isinstance(event, Undecodable):
                return event
            self._report_undecodable(event)
        self._acknowledge()
        raise StopAsyncIteration

    async def _next_item(self) -> Item:
        if self._arrived is None:
            raise RuntimeError("iterate inside `async with`")
        self._subscription.start()
        while True:
            self._arrived.clear()
            try:
                item = self._inbox.first(0)
            except Empty:
                await self._arrived.wait()
            else:
                del self._inbox.items[0]
                return item

    def _process(self, item: Item) -> None:
        if isinstance(item, Notice):
            self._call_hook(*item)
        elif isinstance(item, Failure):
            if item.error is self._subscription.refusal:
                raise item.error
        elif not isinstance(item, Wake):
            self._delivery = item
            self._events.extend(item.open())

    def _acknowledge(self) -> None:
        """Acknowledge the events that the program has seen."""
        if self._delivery is not None:
            self._delivery.handled(self._handled)
            self._delivery, self._handled = None, 0


async def _in_thread(call: Callable[[str | Sequence[str]], object], texts: Any) -> None:
    check_threads()
    await asyncio.to_thread(call, texts)


def _in_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> Callable[[], None]:
    """Return a function that schedules the callback in the loop, from whatever thread."""

    def call() -> None:
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError:
            if not loop.is_closed():  # an ended loop has no iteration to wake
                raise

    return call
