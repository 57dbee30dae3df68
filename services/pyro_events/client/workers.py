"""Events handled by several threads, acknowledged in the order in which they came."""

from __future__ import annotations

import contextlib
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


_Task = tuple[_Open, "Event | Undecodable"]


class Workers:
    """Threads that handle events from `start` to `stop`; what is left then waits for more.

    The methods belong to one thread. `hand_in` never waits: the event service's window bounds
    what is here.
    """

    def __init__(self) -> None:
        self._tally = Tally()
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
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
            thread.start()
            self._threads.append(thread)

    def hand_in(self, parcel: Parcel) -> int:
        """Have the events of a parcel handled; gives how many there are."""
        events = parcel.open()
        entry = self._tally.begin(parcel, len(events))
        for event in events:
            self._tasks.put((entry, event))
        return len(events)

    def finish(
        self, handle: Callable[[Event | Undecodable], None], aborted: Callable[[], bool]
    ) -> None:
        """Handle what is left in the calling thread, until `aborted` says so."""
        with contextlib.suppress(Empty):
            while not aborted():
                self._do(handle, self._tasks.get_nowait())

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

    def _work(self, handle: Callable[[Event | Undecodable], None]) -> None:
        while not self._stopping:
            try:
                self._do(handle, self._tasks.get())
            except BaseException:  # noqa: BLE001 - sys.exit() in a handler must not end its worker
                _log.exception("a handler wanted to end its thread")

    def _do(self, handle: Callable[[Event | Undecodable], None], task: _Task | None) -> None:
        if task is not None:
            entry, event = task
            try:
                handle(event)
            finally:
                self._tally.done(entry)

    def _remove_marks(self) -> None:
        kept = []
        with contextlib.suppress(Empty):
            while True:
                kept.append(self._tasks.get_nowait())
        for task in kept:
            if task is not None:
                self._tasks.put(task)
