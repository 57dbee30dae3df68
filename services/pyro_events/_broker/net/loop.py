"""The selector loop: sockets, timers, and work handed in by other threads."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import select
import signal
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Protocol
from weakref import WeakSet

from pyro_events._broker.counting.traffic import Traffic
from pyro_events._broker.snapshot.fields import Fields, Snapshotted

if TYPE_CHECKING:
    from collections.abc import Callable

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
_KNOWN: Final = READ | WRITE

_FAULT: Final = "internal error in the event service; it continues"
_log = logging.getLogger("pyro_events")


class Watched(Protocol):
    """A socket, or what has one."""

    def fileno(self) -> int:
        """Return its descriptor."""

    def close(self) -> None:
        """Close it."""


@dataclass(slots=True, eq=False)
class Timer:
    """A call in the future; `cancel` may be called at any time."""

    at: float
    """When it is, by the loop's clock."""
    callback: Callable[[], None] | None

    def cancel(self) -> None:
        """Prevent the call."""
        self.callback = None


class Loop:
    """Waits for sockets and times, and calls back, in the thread that runs it.

    Other threads may only use `call_soon` and `stop`. An exception of a callback is logged and does
    not disturb the others. What is in `after_round` is called when everything that one wait
    returned has been handled: for work that many events ask for and that is done once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.after_round: list[Callable[[], None]] = []
        self.traffic = Traffic()
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[int, Callable[[int], None]]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._soon: deque[Callable[[], None]] = deque()
        self._running = False
        self._stopped = False
        self._thread: int | None = None
        self._signalled = False
        self._sockets: WeakSet[Watched] = WeakSet()
        """All that were ever watched, and are alive."""
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self.watch(self._wake_read, READ, self._woken)

    def watch(self, sock: Watched, mask: int, callback: Callable[[int], None]) -> None:
        """Call `callback(mask)` whenever the socket is ready; replaces an earlier callback."""
        file = sock.fileno()
        if file in self._watched:
            self._epoll.modify(file, mask)
        else:
            self._epoll.register(file, mask)
            self._sockets.add(sock)
        self._watched[file] = mask, callback

    def unwatch(self, sock: Watched) -> None:
        """Stop watching the socket; call this before it is closed."""
        file = sock.fileno()
        del self._watched[file]
        self._epoll.unregister(file)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call once, `delay` seconds from now."""
        return self.call_at(self.clock() + delay, callback)

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer:
        """Call once, when the loop's clock says `at`."""
        timer = Timer(at, callback)
        heapq.heappush(self._timers, (at, next(self._numbers), timer))
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` in the loop's thread, in order. Any thread may call this."""
        self._soon.append(callback)
        if threading.get_ident() != self._thread:
            self._wake()

    @property
    def pending(self) -> bool:
        """Whether calls of `call_soon` wait."""
        return bool(self._soon)

    def run_pending(self) -> None:
        """Make the calls of `call_soon`, and those that they add, and handle nothing else."""
        while self._soon:
            self._guarded(self._soon.popleft())

    def on_signals(self, callback: Callable[[int], None], *numbers: signal.Signals) -> None:
        """Call `callback` in the loop for each of these signals; for a loop of the main thread.

        A handler in Python runs in the main thread only, and may have to wait for it: the
        descriptor to which CPython's handler writes, in any thread, wakes the loop. If its buffer
        is full, the loop is awake already.
        """

        def handle(number: int, _frame: object) -> None:
            self._soon.append(lambda: callback(number))

        self._signalled = True
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, handle)

    def stop(self) -> None:
        """Make `run` return after the present round. Any thread may call it."""
        self._stopped = True
        self._wake()

    def run(self) -> None:
        """Serve until `stop`."""
        self._thread = threading.get_ident()
        try:
            while not self._stopped:
                self.run_once(self._patience())
        finally:
            self._thread = None

    def run_once(self, timeout: float | None = 0.0) -> None:
        """Wait at most `timeout` seconds (None: forever), and handle what is ready."""
        for file, events in self._epoll.poll(timeout):
            watch = self._watched.get(file)
            if watch is not None:  # an earlier callback may have closed it
                mask, ready = watch
                try:
                    ready(events & mask if events & _KNOWN == events else mask)
                except Exception:  # noqa: BLE001 - as in `_guarded`, without another call
                    _log.exception(_FAULT)
        if self._timers and self._timers[0][0] <= self.clock():
            self._run_timers()
        for _ in range(len(self._soon)):
            self._guarded(self._soon.popleft())
        for callback in self.after_round:
            try:
                callback()
            except Exception:  # noqa: BLE001 - the same
                _log.exception(_FAULT)

    def close(self) -> None:
        """Release the loop's own descriptors; `run` must have returned."""
        if self._signalled:
            signal.set_wakeup_fd(-1)  # signals are ignored from now on
        self._epoll.close()
        self._wake_read.close()
        self._wake_write.close()

    def disinherit(self) -> None:
        """Close, in a forked child, its copies of all sockets; the parent's loop goes on."""
        self._epoll.close()  # first: the parent's loop watches by the same one
        self._wake_write.close()
        for sock in list(self._sockets):
            sock.close()

    def _patience(self) -> float | None:
        if self._soon:
            return 0.0
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - self.clock()) if self._timers else None

    def _run_timers(self) -> None:
        now = self.clock()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                self._guarded(callback)

    def _guarded(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # noqa: BLE001 - the other callbacks must not be disturbed
            _log.exception(_FAULT)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake; closed: it has ended
            self._wake_write.send(b"\0")

    def _woken(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_read.recv(4096):
                pass


class Deadline(Snapshotted):
    """A timeout that is moved to a later time often, which costs next to nothing."""

    __slots__ = ("_callback", "_loop", "_timer", "at")

    SNAPSHOT: ClassVar = Fields("at")
    TRANSIENT: ClassVar = ("_callback", "_loop", "_timer")

    def __init__(self, loop: Loop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self.at: float | None = None
        """When it expires, by the loop's clock; None: not at all."""
        self._timer: Timer | None = None

    def set(self, seconds: float) -> None:
        """Expire `seconds` from now, and not before."""
        self.at = self._loop.clock() + seconds
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._due)

    def snapshot(self, _writer: object) -> float | None:
        """Return when it expires."""
        return self.at

    def restore(self, values: float | None, _reader: object) -> None:
        """Expire when it would have in the other process."""
        if values is not None:
            self.set(values - self._loop.clock())

    def clear(self) -> None:
        """Don't expire."""
        self.at = None

    def cancel(self) -> None:
        """Don't expire, and release the loop's timer."""
        self.at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self.at is None:
            return
        left = self.at - self._loop.clock()
        if left > 0:
            self._timer = self._loop.call_later(left, self._due)
        else:
            self.at = None
            self._callback()
