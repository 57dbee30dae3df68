"""Events handled by several threads, acknowledged in the order in which they came."""

from __future__ import annotations

import logging
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._client.receiving.inbox import Delivery
    from pyro_events._protocol.event import Event, Undecodable

_log = logging.getLogger("pyro_events")

THREADS = 8
"""Events that are handled at once, at most."""


class _DeliveryTracker:
    """Acknowledges each delivery when it and all before it are done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: deque[_Tracked] = deque()

    def add(self, delivery: Delivery, count: int) -> _Tracked:
        """Track a delivery of `count` events; again, if the first call was interrupted."""
        with self._lock:
            if not self._open or self._open[-1].delivery is not delivery:
                self._open += [_Tracked(delivery, count)]
            return self._open[-1]

    def done(self, entry: _Tracked) -> None:
        """Count one event of the delivery as handled."""
        with self._lock:
            entry.left -= 1
            while self._open and not self._open[0].left:
                first = self._open.popleft()
                first.delivery.handled(first.count)


class _Tracked:
    __slots__ = ("count", "delivery", "left")

    def __init__(self, delivery: Delivery, count: int) -> None:
        self.delivery = delivery
        self.count = count
        self.left = count


_Task = tuple[_Tracked, "Event | Undecodable"]


class Workers:
    """Threads that handle events from `start` to `stop`; the remaining ones wait for the next time.

    The methods belong to one thread. `submit` never waits: the event service's window bounds
    the number of events here.
    """

    def __init__(self) -> None:
        self._tracker = _DeliveryTracker()
        self._tasks: deque[_Task] = deque()
        self._last_submitted: Delivery | None = None
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        """Has something for each task, and for each worker that has to stop."""
        self._threads: list[threading.Thread] = []
        self._stopping = False

    def start(self, handle: Callable[[Event | Undecodable], None]) -> None:
        """Start to handle the submitted events, and those to come."""
        self._stopping = False
        for number in range(THREADS):
            thread = threading.Thread(
                target=self._work,
                args=(handle,),
                name=f"pyro_events worker {number + 1}",
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()
        for _ in range(len(self._tasks)):
            self._wakeups.put(None)

    def submit(self, delivery: Delivery) -> int:
        """Submit the events of a delivery to be handled; return their number.

        To be called again when it was interrupted; the same events aren't handled twice.
        """
        if delivery is self._last_submitted:
            return 0
        events = delivery.open()
        entry = self._tracker.add(delivery, len(events))
        tasks = [(entry, event) for event in events]
        # These two lines happen together, since Python looks for signals after a call.
        self._last_submitted = delivery
        self._tasks.extend(tasks)
        for _ in tasks:
            self._wakeups.put(None)
        return len(tasks)

    def drain(
        self, handle: Callable[[Event | Undecodable], None], aborted: Callable[[], bool]
    ) -> None:
        """Handle the remaining events in the calling thread, until `aborted` returns True."""
        while self._tasks and not aborted():
            entry, event = self._tasks[0]
            try:
                del self._tasks[0]
                handle(event)
            finally:
                self._tracker.done(entry)

    def stop(self) -> None:
        """Wait for the events in progress, except in a worker that calls this itself."""
        self._stopping = True
        for _ in self._threads:
            self._wakeups.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread() and thread.is_alive():
                thread.join()
        self._threads.clear()

    def disown(self) -> None:
        """Leave all events to the parent of this forked child, and end the worker that forked."""
        self._stopping, self._tracker = True, _DeliveryTracker()

    def _work(self, handle: Callable[[Event | Undecodable], None]) -> None:
        while not self._stopping:
            self._wakeups.get()
            if self._stopping:
                return
            try:
                self._handle_next(handle)
            except BaseException:  # noqa: BLE001 - sys.exit() in a handler must not end its worker
                _log.exception("a handler tried to end its thread")

    def _handle_next(self, handle: Callable[[Event | Undecodable], None]) -> None:
        try:
            entry, event = self._tasks.popleft()
        except IndexError:
            return
        try:
            handle(event)
        finally:
            self._tracker.done(entry)
