"""What has arrived for a subscriber and waits for it: events, notices, and the odd failure."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from queue import Empty
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgpack

from pyro_events._protocol.event import Event
from pyro_events.codec import unpack, unpack_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Hook = str
"""`connected`, `disconnected` or `gap`: the method that a notice is for."""


class Undecodable(NamedTuple):
    """An event whose message can't be recreated here."""

    subject: str
    reason: str


class Delivery(Protocol):
    """Events that arrived together."""

    def open(self) -> Sequence[Event | Undecodable]:
        """Give the events."""

    def handled(self, count: int) -> None:
        """Tell whoever sent them that the first `count` are done."""


class Notice(NamedTuple):
    """News about the connection, for a hook."""

    hook: Hook
    values: dict[str, Any]


class Failure(NamedTuple):
    """Nothing will come any more."""

    error: Exception


class Wake(NamedTuple):
    """Nothing at all; whoever waits looks around."""


Item = Delivery | Notice | Failure | Wake


class Inbox:
    """A queue from the link's thread to the subscriber's. Any thread may put, also by a signal.

    One thread takes, in two steps, so that nothing is lost when it is interrupted: it waits for
    the `first` item, and removes it from `items` when it has dealt with it. `on_put` is called,
    in the thread that puts, whenever there is something new.
    """

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self._bell = threading.Lock()
        self._bell.acquire()
        self.on_put: Callable[[], object] | None = None

    def put(self, item: Item) -> None:
        """Add an item at the end."""
        self.items.append(item)
        self.tell()

    def tell(self) -> None:
        """Say that there is something new in `items`."""
        with contextlib.suppress(RuntimeError):  # it rings already
            self._bell.release()
        if self.on_put is not None:
            self.on_put()

    def empty(self) -> bool:
        """Say whether nothing waits."""
        return not self.items

    def first(self, timeout: float | None = None) -> Item:
        """Wait for an item and give it; raises queue.Empty after `timeout` seconds."""
        while not self.items:
            if not self._bell.acquire(timeout=-1 if timeout is None else timeout):
                raise Empty
        return self.items[0]


def open_frame(data: bytes, skip: int) -> Sequence[Event | Undecodable]:
    """Give the events of a pushed frame, but for the first `skip` of them."""
    entries = msgpack.unpackb(data, use_list=False)[1][skip:]
    subjects, times, bodies, opaque = zip(*entries, strict=True)
    del entries  # four hundred tuples less for the garbage collector to look at
    try:
        messages = unpack_all(bodies) if not any(opaque) else map(_message, bodies, opaque)
        return list(map(Event, subjects, messages, times))
    except ValueError:
        return list(map(_event, subjects, times, bodies, opaque))


def _message(body: bytes, opaque: bool) -> Any:
    return body if opaque else unpack(body)


def _event(subject: str, time: float, body: bytes, opaque: bool) -> Event | Undecodable:
    try:
        return Event(subject, _message(body, opaque), time)
    except ValueError as error:
        return Undecodable(subject, str(error))
