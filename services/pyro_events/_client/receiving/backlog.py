"""The events that a callback subscriber has received and not handled: each once, and few."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from pyro_events.errors import Closed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._client.receiving.inbox import Inbox
    from pyro_events._protocol.event import Event, Undecodable
    from pyro_events._protocol.numbering import Numbers

_ROOM: Final = 8
"""Events that may wait when a call is answered: one for each worker of `setThreading(True)`."""
_ROOM_BYTES: Final = 4 << 20
"""The same in bytes."""
_SERIES: Final = 8
"""Series of numbers that are remembered. Calls of an older one can't come any more."""


class CallProgress:
    """How many events of a call have come; without numbers, a call has one event."""

    __slots__ = ("bytes_each", "last", "next", "series")

    def __init__(self, numbers: Numbers | None) -> None:
        series, first, count, size = numbers or (None, 1, 1, 0)
        self.series = series
        self.next = first
        self.last = first + count - 1
        self.bytes_each = size // max(1, count)


class Backlog:
    """Puts events into the inbox, and has the event service wait before it sends more.

    All events of a call are taken at once. The last one returns when at most `room` events wait to
    be handled, so that the others wait at the event service, by the rules of the queue there. A new
    call ends the wait of the one before: that one's connection has broken, and its events come
    again. Events that arrive before the newest delivery is opened join it.
    """

    def __init__(self, inbox: Inbox, queue_size: int | None) -> None:
        self._inbox = inbox
        self._room = _ROOM if queue_size is None else min(queue_size - 1, _ROOM)
        self._events = self._bytes = 0
        self._received: dict[bytes, int] = {}
        """The number of the last event of each series."""
        self._newest: CallProgress | None = None
        self._delivery: _CallbackDelivery | None = None
        self._closed = False
        self._lock = threading.RLock()  # collecting garbage may call `close`
        self._changed = threading.Condition(self._lock)

    def begin(self, numbers: Numbers | None) -> CallProgress:
        """Return the progress of a call that begins."""
        with self._changed:
            self._newest = CallProgress(numbers)
            self._changed.notify_all()
            return self._newest

    def add(self, event: Event | Undecodable, call: CallProgress) -> None:
        """Take the next event of a call, unless it came before."""
        with self._changed:
            if self._closed:
                raise Closed("the subscriber was closed")
            if self._is_new(call):
                self._take(event, call.bytes_each)
            call.next += 1
            while call.next > call.last and call is self._newest and self._is_full():
                self._changed.wait()

    def seal(self) -> None:
        """Begin a new delivery with the next event."""
        with self._lock:
            self._delivery = None

    def release(self, events: int, size: int) -> None:
        """Record that events were handled."""
        with self._changed:
            self._events -= events
            self._bytes -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Take nothing more, and wait no longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_new(self, call: CallProgress) -> bool:
        if call.series is None:
            return True
        if call.next <= self._received.get(call.series, 0):
            return False
        self._received[call.series] = call.next
        if len(self._received) > _SERIES:
            del self._received[next(iter(self._received))]
        return True

    def _take(self, event: Event | Undecodable, size: int) -> None:
        self._events += 1
        self._bytes += size
        if self._delivery is not None:
            self._delivery.add(event, size)
        else:
            self._delivery = _CallbackDelivery(self, event, size)
            self._inbox.put(self._delivery)

    def _is_full(self) -> bool:
        if self._closed:
            return False
        return self._events > self._room or self._bytes > _ROOM_BYTES


class _CallbackDelivery:
    __slots__ = ("_backlog", "_bytes", "_events", "_handled")

    def __init__(self, backlog: Backlog, event: Event | Undecodable, size: int) -> None:
        self._events = [event]
        self._bytes = size
        self._backlog = backlog
        self._handled = 0

    def add(self, event: Event | Undecodable, size: int) -> None:
        self._events.append(event)
        self._bytes += size

    def open(self) -> Sequence[Event | Undecodable]:
        self._backlog.seal()
        return self._events

    def handled(self, count: int) -> None:
        size = self._bytes if count == len(self._events) else 0
        self._backlog.release(count - self._handled, size)
        self._handled = count
