"""Events handled by several threads, acknowledged in the order in which they came."""

from __future__ import annotations

import logging
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._client.receiving.inbox import Delivery, Undecodable
    from pyro_events._protocol.event import Event

_log = logging.getLogger("pyro_events")

THREADS = 8
"""Events that are handled at once, at most."""


class Tally:
    """Knows which parcels are done; tells their senders only when all before them are, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: deque[_Open] = deque()

    def begin(self, parcel: Delivery, count: int) -> _Open:
        """Count a parcel of so many events in; again, if whoever did so was interrupted."""
        with self._lock:
            if not self._open or self._open[-1].parcel is not parcel:
                self._open += [_Open(parcel, count)]
            return self._open[-1]

    def done(self, entry: _Open) -> None:
        """Count one event of it as handled."""
        with self._lock:
            entry.left -= 1
            while self._open and not self._open[0].left:
                first = self._open.popleft()
                first.parcel.handled(first.count)


class _Open:
    __slots__ = ("count", "left", "parcel")

    def __init__(self, parcel: Delivery, count: int) -> None:
        self.parcel = parcel
        self.count = count
        self.left = count


_Task = tuple[_Open, "Event | Undecodable"]


class Workers:
    """Threads that handle events from `start` to `stop`; what is left then waits for more.

    The methods belong to one thread. `hand_in` never waits: the event service's window bounds
    what is here.
    """

    def __init__(self) -> None:
        self._tally = Tally()
        self._tasks: deque[_Task] = deque()
        self._newest: Delivery | None = None
        self._bell: SimpleQueue[None] = SimpleQueue()
        """Has something for each task, and for each worker that is to look around."""
        self._threads: list[threading.Thread] = []
        self._stopping = False

    def start(self, handle: Callable[[Event | Undecodable], None]) -> None:
        """Begin to handle what is there and what comes."""
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
            self._bell.put(None)

    def hand_in(self, parcel: Delivery) -> int:
        """Have the events of a parcel handled; gives how many there are.

        To be called again when it was interrupted; the same events aren't handled twice.
        """
        if parcel is self._newest:
            return 0
        events = parcel.open()
        entry = self._tally.begin(parcel, len(events))
        tasks = [(entry, event) for event in events]
        # These two lines happen together, since Python looks for signals after a call.
        self._newest = parcel
        self._tasks.extend(tasks)
        for _ in tasks:
            self._bell.put(None)
        return len(tasks)

    def finish(
        self, handle: Callable[[Event | Undecodable], None], aborted: Callable[[], bool]
    ) -> None:
        """Handle what is left in the calling thread, until `aborted` says so."""
        while self._tasks and not aborted():
            entry, event = self._tasks[0]
            try:
                del self._tasks[0]
                handle(event)
            finally:
                self._tally.done(entry)

    def stop(self) -> None:
        """Wait for the events in progress; a worker that calls this is not waited for."""
        self._stopping = True
        for _ in self._threads:
            self._bell.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread() and thread.is_alive():
                thread.join()
        self._threads.clear()

    def _work(self, handle: Callable[[Event | Undecodable], None]) -> None:
        while True:
            self._bell.get()
            if self._stopping:
                return
            try:
                self._do(handle)
            except BaseException:  # noqa: BLE001 - sys.exit() in a handler must not end its worker
                _log.exception("a handler wanted to end its thread")

    def _do(self, handle: Callable[[Event | Undecodable], None]) -> None:
        try:
            entry, event = self._tasks.popleft()
        except IndexError:
            return
        try:
            handle(event)
        finally:
            self._tally.done(entry)
