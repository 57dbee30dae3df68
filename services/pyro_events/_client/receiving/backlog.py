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


class ReceivedCall:
    """The events of a call, as they come one by one; without numbers, that is a single one."""

    __slots__ = ("events", "numbers", "total")

    def __init__(self, numbers: Numbers | None) -> None:
        self.numbers = numbers
        self.events: list[Event | Undecodable] = []
        self.total = numbers.events if numbers else 1


class Backlog:
    """Puts events into the inbox, and has the event service wait before it sends more.

    `take` returns, and so the call is answered, when at most `room` events wait to be handled: the
    others wait at the event service, by the rules of the queue there. The next call ends the wait
    of the one before: that one's connection has broken, and its events come again.
    """

    def __init__(self, inbox: Inbox, queue_size: int | None) -> None:
        self._inbox = inbox
        self._room = _ROOM if queue_size is None else min(queue_size - 1, _ROOM)
        self._events = self._bytes = 0
        self._received: dict[bytes, int] = {}
        """The number of the last event of each series."""
        self._newest: ReceivedCall | None = None
        self._closed = False
        self._lock = threading.RLock()  # collecting garbage may call `close`
        self._changed = threading.Condition(self._lock)

    def take(self, call: ReceivedCall) -> None:
        """Take the events of a call that did not come before; raises Closed."""
        with self._changed:
            if self._closed:
                raise Closed("the subscriber was closed")
            self._newest = call
            self._changed.notify_all()
            events = call.events[self._known(call.numbers) :]
            if events:
                size = call.numbers.size if call.numbers else 0
                self._events += len(events)
                self._bytes += size
                self._inbox.put(_CallbackDelivery(self, events, size))
            while call is self._newest and self._is_full() and not self._closed:
                self._changed.wait()
            call.events = []

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

    def _known(self, numbers: Numbers | None) -> int:
        """Return how many of these events came before, and record the others."""
        if numbers is None:
            return 0
        before = self._received.get(numbers.series, 0)
        last = numbers.first + numbers.events - 1
        self._received[numbers.series] = max(before, last)
        if len(self._received) > _SERIES:
            del self._received[next(iter(self._received))]
        return max(0, before + 1 - numbers.first)

    def _is_full(self) -> bool:
        return self._events > self._room or self._bytes > _ROOM_BYTES


class _CallbackDelivery:
    __slots__ = ("_backlog", "_bytes", "_events", "_handled")

    def __init__(self, backlog: Backlog, events: list[Event | Undecodable], size: int) -> None:
        self._events = events
        self._bytes = size
        self._backlog = backlog
        self._handled = 0

    def open(self) -> Sequence[Event | Undecodable]:
        return self._events

    def handled(self, count: int) -> None:
        size = self._bytes if count == len(self._events) else 0
        self._backlog.release(count - self._handled, size)
        self._handled = count
