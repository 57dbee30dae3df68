"""One publish on its way to everybody who wants it, in order, however long that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyro_events.engine.subscriber import item_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events.engine.encoder import Item
    from pyro_events.engine.hub import Hub
    from pyro_events.engine.loop import Timer
    from pyro_events.engine.subscriber import Subscriber


class Publication:
    """Offers each event to each of its subscribers before it turns to the next event.

    A full queue whose policy is to block holds the publication, and so its publisher and nobody
    else, for at most `block_timeout` seconds. `done` is called when everything is in the queues.
    """

    __slots__ = ("_blocked", "_done", "_hub", "_items", "_next", "_timer")

    def __init__(self, hub: Hub, items: Sequence[Item], done: Callable[[], None]) -> None:
        self._hub = hub
        self._items = items
        self._done = done
        self._next = 0
        self._blocked: list[Subscriber] = []
        self._timer: Timer | None = None

    def advance(self) -> None:
        """Go on until everything is delivered to the queues, or a queue is full."""
        items, targets = self._items, self._hub.router.targets
        while self._next < len(items):
            item = items[self._next]
            found = targets(item[0])
            if found:
                size = item_size(item)
                for subscriber, copies in found:
                    for _ in range(copies):
                        if not subscriber.offer(item, size):
                            self._blocked.append(subscriber)
                if self._blocked:
                    self._hold()
                    return
            self._next += 1
        self._done()

    def retry(self, subscriber: Subscriber) -> None:
        """Offer the held event again to a subscriber that has room now."""
        item = self._items[self._next]
        if subscriber.offer(item, item_size(item)):
            self.forget(subscriber)
        else:
            subscriber.wait(self)

    def forget(self, subscriber: Subscriber) -> None:
        """Wait no longer for that subscriber."""
        if subscriber in self._blocked:
            self._blocked.remove(subscriber)
            if not self._blocked:
                self._go_on()

    def _hold(self) -> None:
        self._hub.held += 1
        self._timer = self._hub.loop.call_later(
            self._hub.settings.block_timeout, self._waited_enough
        )
        for subscriber in self._blocked:
            subscriber.wait(self)

    def _waited_enough(self) -> None:
        for subscriber in self._blocked:
            subscriber.stall()
            subscriber.unwait(self)
            self._hub.log_stalled(subscriber)
        self._blocked = []
        self._go_on()

    def _go_on(self) -> None:
        self._hub.held -= 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._next += 1
        self._hub.loop.call_soon(self.advance)
