"""The subscriber's side for asyncio: subscribe, and iterate."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections import deque
from queue import Empty
from typing import TYPE_CHECKING, Any, Literal, Self

from pyro_events._client.receiving.inbox import Failure, Inbox, Notice, Undecodable, Wake
from pyro_events._protocol.subjects import check_patterns, check_subjects
from pyro_events.errors import Closed
from pyro_events.subscriber import TIMEOUT, check_texts, make_subscription, undecodable_gap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from pyro_events._client.receiving.inbox import Delivery, Item
    from pyro_events._protocol.event import Event
    from pyro_events._protocol.when_full import WhenFull

_log = logging.getLogger("pyro_events")


class AsyncSubscriber:
    """Receives events in an asyncio program: `async for event in subscriber`.

    The arguments mean what they mean for `Subscriber`. A thread of its own keeps the connection;
    everything else happens in the event loop that entered `async with`, and the methods belong to
    it. Iteration waits for an event service that isn't there, and for one that went away; it ends
    when the subscriber is closed.
    """

    def __init__(
        self,
        es: str | None = None,
        *,
        ident: str | None = None,
        delivery: Literal["stream", "callback"] = "stream",
        host: str | None = None,
        port: int = 0,
        nathost: str | None = None,
        natport: int | None = None,
        name: str | None = None,
        once: bool = False,
        when_full: WhenFull | None = None,
        queue_size: int | None = None,
    ) -> None:
        options = {"name": name, "once": once, "when_full": when_full, "queue_size": queue_size}
        daemon = {"host": host, "port": port, "nathost": nathost, "natport": natport}
        self._inbox = Inbox()
        self._subscription = make_subscription(es, ident, self._inbox, delivery, options, daemon)
        self._arrived: asyncio.Event | None = None
        self._parcel: Delivery | None = None
        self._events: deque[Event | Undecodable] = deque()
        self._handled = 0
        self._closed = False
        self._closing: asyncio.Future[None] | None = None

    # -- to override

    def connected(self, notice: dict[str, Any]) -> None:
        """Learn that there is a connection; see `Subscriber.connected`. Called while iterating."""

    def disconnected(self, notice: dict[str, Any]) -> None:
        """Learn that the connection broke; see `Subscriber.disconnected`."""

    def gap(self, notice: dict[str, Any]) -> None:
        """Learn that events were missed; see `Subscriber.gap`."""

    # -- to call

    async def subscribe(self, subjects: str | Sequence[str]) -> None:
        """Receive the events about these subjects from now on; raises as in `Subscriber`."""
        checked = check_subjects(subjects)
        await asyncio.to_thread(self._subscription.subscribe, checked, (), TIMEOUT)

    async def subscribeMatch(self, patterns: str | Sequence[str]) -> None:  # noqa: N802 - the original's name
        """Receive the events whose subject matches a pattern; raises as in `Subscriber`."""
        texts = [pattern.text for pattern in check_patterns(patterns)]
        await asyncio.to_thread(self._subscription.subscribe, (), texts, TIMEOUT)

    async def unsubscribe(self, subjects: str | Sequence[str]) -> None:
        """Receive no more about these subjects, nor by patterns of these texts."""
        texts = check_texts(subjects)
        await asyncio.to_thread(self._subscription.unsubscribe, texts, TIMEOUT)

    async def close(self) -> None:
        """End the subscriptions and the iteration, and disconnect.

        Whoever closes it as well waits until that is done.
        """
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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Give the next event; the one before it counts as handled now.

        Raises `pyro_events.errors.Refused` when the first connection is refused.
        """
        while not self._closed:
            if not self._events:
                self._settle()
                self._take(await self._next_item())
                continue
            event = self._events.popleft()
            self._handled += 1
            if not isinstance(event, Undecodable):
                return event
            _log.error("an event about %r can't be decoded: %s", event.subject, event.reason)
            self._tell(undecodable_gap(event))
        self._settle()
        raise StopAsyncIteration

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        self._subscription.close(wait=False)
        warnings.warn(f"unclosed subscriber: {self!r}", ResourceWarning, source=self)  # noqa: B028 - nobody called

    # -- within the loop

    async def _next_item(self) -> Item:
        if self._arrived is None:
            raise RuntimeError("iterate inside of `async with`")
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

    def _take(self, item: Item) -> None:
        if isinstance(item, Notice):
            self._tell(item)
        elif isinstance(item, Failure):
            if item.error is self._subscription.refusal:
                raise item.error
        elif not isinstance(item, Wake):
            self._parcel = item
            self._events.extend(item.open())

    def _settle(self) -> None:
        """Acknowledge what the program has seen."""
        if self._parcel is not None:
            self._parcel.handled(self._handled)
            self._parcel, self._handled = None, 0

    def _tell(self, notice: Notice) -> None:
        try:
            getattr(self, notice.hook)(notice.values)
        except Exception:  # noqa: BLE001 - it is the user's, and must not end the iteration
            _log.exception("error in %s()", notice.hook)


def _in_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> Callable[[], None]:
    """Give a function that has the callback called in the loop, from whatever thread."""

    def call() -> None:
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError:
            if not loop.is_closed():  # nobody iterates in a loop that has ended
                raise

    return call


__all__ = ["AsyncSubscriber", "Closed"]
