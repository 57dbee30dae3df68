"""Events handled by several threads, acknowledged in the order in which they came."""

from __future__ import annotations

import logging
import threading
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events.client.inbox import Parcel, Undecodable
    from pyro_events.event import Event

_log = logging.getLogger("pyro_events")

THREADS = 8
"""Events that are handled at once, at most."""


class Tally:
    """Knows which parcels are done; tells their senders only when all before them are, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: deque[_Open] = deque()

    def begin(self, parcel: Parcel, count: int) -> _Open:
        """Count a parcel of so many events in."""
        entry = _Open(parcel, count)
        with self._lock:
            self._open.append(entry)
        return entry

    def done(self, entry: _Open) -> None:
        """Count one event of it as handled."""
        with self._lock:
            entry.left -= 1
            while self._open and not self._open[0].left:
                first = self._open.popleft()
                first.parcel.handled(first.count)


class _Open:
    __slots__ = ("count", "left", "parcel")

    def __init__(self, parcel: Parcel, count: int) -> None:
        self.parcel = parcel
        self.count = count
        self.left = count


class Workers:
    """Threads that handle events from `start` to `stop`; what is left then waits for more.

    `hand_in` belongs to one thread; it never waits, the event service's window bounds what waits.
    """

    def __init__(self, handle: Callable[[Event | Undecodable], None]) -> None:
        self._handle = handle
        self._tally = Tally()
        self._tasks: SimpleQueue[tuple[_Open, Event | Undecodable] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._stopping = False

    def start(self) -> None:
        """Begin to handle what is there and what comes."""
        self._stopping = False
        for number in range(THREADS):
            thread = threading.Thread(
                target=self._work, name=f"pyro_events worker {number + 1}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def hand_in(self, parcel: Parcel) -> int:
        """Have the events of a parcel handled; gives how many there are."""
        events = parcel.open()
        entry = self._tally.begin(parcel, len(events))
        for event in events:
            self._tasks.put((entry, event))
        return len(events)

    def stop(self) -> None:
        """Wait for the events in progress; a worker that calls this is not waited for."""
        self._stopping = True
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._threads.clear()
        self._remove_marks()

    def _work(self) -> None:
        while not self._stopping:
            task = self._tasks.get()
            if task is None:
                continue
            entry, event = task
            try:
                self._handle(event)
            except BaseException:  # noqa: BLE001 - sys.exit() in a handler must not end its worker
                _log.exception("a handler wanted to end its thread")
            finally:
                self._tally.done(entry)

    def _remove_marks(self) -> None:
        kept = []
        try:
            while True:
                task = self._tasks.get_nowait()
                if task is not None:
                    kept.append(task)
        except Empty:
            for task in kept:
                self._tasks.put(task)
