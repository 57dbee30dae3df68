"""What has arrived for a subscriber and waits for it: events, notices, and the odd failure."""

from __future__ import annotations

import threading
from collections import deque
from queue import Empty
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._protocol.event import Event, Undecodable


class Delivery(Protocol):
    """Events that arrived together."""

    def open(self) -> Sequence[Event | Undecodable]:
        """Return the events."""

    def handled(self, count: int) -> None:
        """Acknowledge the first `count` events."""


class Notice(NamedTuple):
    """News about the connection for a hook: `connected`, `disconnected` or `gap`."""

    hook: str
    values: dict[str, Any]


class Failure(NamedTuple):
    """The link has ended with this error; nothing will arrive."""

    error: Exception


class Wake(NamedTuple):
    """Nothing; it only wakes the waiting thread."""


Item = Delivery | Notice | Failure | Wake


class Inbox:
    """A queue from the link's thread to the subscriber's. Threads and signal handlers may put.

    One thread takes, in two steps, so that nothing is lost when it is interrupted: it waits for
    the `first` item, and removes it from `items` when it has processed it. `on_put` is called,
    in the putting thread, whenever there is something new.
    """

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self._changed = threading.Lock()
        self._changed.acquire()
        self.on_put: Callable[[], object] | None = None

    def put(self, item: Item) -> None:
        """Add an item at the end."""
        self.items.append(item)
        self.notify()

    def notify(self) -> None:
        """Wake the waiting thread: there is something new in `items`."""
        try:  # noqa: SIM105 - for each event: `suppress` would be three calls
            self._changed.release()
        except RuntimeError:  # it was woken already
            pass
        if self.on_put is not None:
            self.on_put()

    def first(self, timeout: float | None = None) -> Item:
        """Wait for an item and return it; raises queue.Empty after `timeout` seconds."""
        while not self.items:
            if not self._changed.acquire(timeout=-1 if timeout is None else timeout):
                raise Empty
        return self.items[0]
