"""A link: a helper's connection to the event service, made again whenever it breaks.

The link has a thread of its own, which looks the service up, connects, does the handshake and
reads; frames go to an owner. Any thread may write to the connection, and a thread that waits for
a frame may read it itself: that saves waking two threads for one frame. During that time the link's
thread watches for the end of the connection; it reads again when it is woken, or when the other
thread is busy for long.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Protocol

from pyro_events._client import names
from pyro_events._client.condition import TimedOut
from pyro_events._client.connection import Abandoned, Connection, ConnectionLost
from pyro_events._client.introduction import Introduction
from pyro_events._client.process import check_threads
from pyro_events._client.tls_connection import open_connection
from pyro_events._client.waker import Stopped, Waker
from pyro_events.errors import Closed, EventServiceError, Refused, Unreachable
from pyro_wire.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from Pyro5.core import URI

    from pyro_events._client.introduction import Welcome
    from pyro_wire import framing

CONNECT_TIMEOUT = 5.0
"""Seconds for one attempt: lookup, connection and handshake together."""
_LOCAL_TIMEOUT = 1.0
"""Seconds for the handshake over its Unix socket with an event service that has just answered."""
_CHECKS = 5
"""How often, while the link may be silent, its thread checks whether another one still reads."""
_CHANCE = random.SystemRandom().random
"""Not the numbers of `random` itself: the program may have seeded those for itself."""

_log = logging.getLogger("pyro_events")


class LinkOwner(Protocol):
    """What a link calls, in its thread; no method may block for long.

    A thread that reads the connection itself calls `received`, too.
    """

    def connected(self, connection: Connection, welcome: Welcome) -> None:
        """Use the new connection; an EventServiceError counts as a failed attempt."""

    def received(self, frame: framing.Frame) -> None:
        """Process a frame."""

    def woken(self) -> None:
        """Check whether there is something to do; usually after `ReconnectingConnection.wake`."""

    def disconnected(self, error: Exception) -> None:
        """Handle a connection that broke, could not be made, or was closed here."""

    def closing(self, connection: Connection) -> None:
        """Send the last bytes; the link was stopped, and will close the connection."""

    def refused(self, error: Refused) -> None:
        """Handle the refusal of the very first connection; the link waits to be started again."""


class ReconnectingConnection:
    """Keeps a connection for its owner from `start` to `stop`. Any thread may call anything."""

    def __init__(
        self,
        service: names.Service,
        role: str,
        ident: str | None,
        owner: LinkOwner,
        *,
        wishes: Mapping[str, object] | None = None,
        silence: float | None = None,
        local: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = _CHANCE,
    ) -> None:
        """Prepare a link, which counts as broken after `silence` seconds without a byte.

        `wishes` is what else every handshake tells the event service; `local` is asked whether to
        use its Unix socket if it is on this machine.
        """
        self._local = local
        self._service = service
        self._introduction = Introduction(role, ident, wishes or {})
        self._owner = owner
        self._silence = silence
        self._clock = clock
        self._backoff = Backoff(chance)
        self._lock = threading.RLock()  # a finalizer may start what is being started
        self._waker: Waker | None = None
        self._thread: threading.Thread | None = None
        self._welcomed = False
        self._served = False
        self._incarnation: str | None = None
        self._renewed = False
        """Whether the last attempt was served by another process than the one before."""
        self._failing = False
        self._outage = False
        """Whether the last thing that was logged is that there is no connection."""

    def start(self) -> None:
        """Start to connect, unless that has begun already; returns at once.

        Raises Unreachable when the system starts no threads, or the interpreter ends.
        """
        check_threads()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # interrupted before it began
                waker = Waker()
                thread = threading.Thread(
                    target=self._run, args=(waker,), name="pyro_events link", daemon=True
                )
                self._waker, self._thread = waker, thread
                try:
                    thread.start()
                except RuntimeError as error:
                    if "new thread" not in str(error):  # a signal handler's
                        raise
                    self._waker = self._thread = None
                    waker.close()
                    raise Unreachable(f"no thread for the connection: {error}") from None

    def is_current_thread(self) -> bool:
        """Return whether the calling thread is the link's own."""
        return self._thread is threading.current_thread()

    def wake(self) -> None:
        """Call the owner's `woken` soon, in the link's thread."""
        waker = self._waker
        if waker is not None:
            waker.wake()

    def stop(self, *, wait: bool = True) -> None:
        """Close the connection and end the thread; wait for that, unless called from it."""
        with self._lock:
            waker, thread = self._waker, self._thread
        if waker is not None:
            waker.stop()
        if wait and thread is not None and thread is not threading.current_thread():
            with contextlib.suppress(RuntimeError):  # interrupted before it began
                thread.join()

    def _run(self, waker: Waker) -> None:
        with self._lock:
            if self._thread is not threading.current_thread():
                waker.close()
                return  # the starting thread was interrupted, and has started another one
        try:
            while True:
                failure, lived = self._guarded_attempt(waker)
                if isinstance(failure, Refused) and not self._welcomed:
                    self._clear_thread()
                    self._owner.refused(failure)
                    return
                self._owner.disconnected(failure)
                if not isinstance(failure, Abandoned):
                    self._log_outage(failure, lived)
                    waker.pause(self._backoff.next(lived, renewed=self._renewed))
        except Stopped:
            self._owner.disconnected(Closed("it was closed here"))
        finally:
            self._clear_thread()
            waker.close()

    def _log_outage(self, failure: Exception, lived: float) -> None:
        """Log the start of an outage, and not every attempt to end it."""
        if lived or not self._failing:
            self._outage = True
            _log.warning("no connection to the event service, trying again: %s", failure)
        self._failing = not lived

    def _clear_thread(self) -> None:
        """Allow `start` again; a thread that was replaced changes nothing."""
        with self._lock:
            if self._thread is threading.current_thread():
                self._waker = self._thread = None

    def _guarded_attempt(self, waker: Waker) -> tuple[EventServiceError, float]:
        try:
            return self._attempt(waker)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - a thread has no caller
            _log.exception("internal error in the link to the event service")
            return EventServiceError(f"internal error: {error!r}"), 0.0

    def _attempt(self, waker: Waker) -> tuple[EventServiceError, float]:
        """Connect and serve; return why that ended, and after how many seconds of service."""
        self._renewed = False
        try:
            connection, welcome = self._connect(waker)
        except EventServiceError as error:
            return error, 0.0
        began = self._clock()
        failure = self._serve(connection, welcome)
        return failure, self._clock() - began if self._served else 0.0

    def _connect(self, waker: Waker) -> tuple[Connection, Welcome]:
        deadline = self._clock() + CONNECT_TIMEOUT
        uri = names.resolve(self._service, waker, self._clock, deadline)
        connection = open_connection(self._service.tls, uri, waker, self._clock, deadline)
        try:
            welcome = self._introduction.perform(connection, uri, deadline)
            return self._nearer(connection, welcome, uri, waker), welcome
        except TimedOut:
            connection.close()
            raise Unreachable(f"{uri} does not answer") from None
        except Refused as error:
            connection.close()
            raise Refused(f"{uri} {error}") from None
        except ConnectionLost as error:
            connection.close()
            raise Unreachable(f"{uri}: {error}") from None
        except BaseException:
            connection.close()
            raise

    def _nearer(
        self, connection: Connection, welcome: Welcome, uri: URI, waker: Waker
    ) -> Connection:
        """Return a connection over the Unix socket that is offered, or the same one.

        Whatever is wrong with it, the one over TCP is as good.
        """
        if welcome.local is None or not self._local() or not connection.stays_here:
            return connection
        try:
            near = Connection.open_local(welcome.local, waker, self._clock)
        except EventServiceError:
            return connection
        chosen = connection
        try:
            found = self._introduction.perform(near, uri, self._clock() + _LOCAL_TIMEOUT)
            if found.incarnation == welcome.incarnation:
                chosen = near
        except (EventServiceError, TimedOut) as error:
            _log.debug("the connection stays on TCP: %s", error)
        finally:
            (connection if chosen is near else near).close()
        return chosen

    def _serve(self, connection: Connection, welcome: Welcome) -> EventServiceError:
        """Use the connection until it breaks; return why it did."""
        owner = self._owner
        self._served = False
        try:
            owner.connected(connection, welcome)
            if self._outage:
                again = " again" if self._welcomed else ""
                _log.warning("connected%s to the event service: %s", again, welcome.uri)
            self._outage, self._served, self._welcomed = False, True, True
            self._renewed = welcome.incarnation != self._incarnation
            self._incarnation = welcome.incarnation
            while True:
                if connection.acquire():
                    try:
                        self._read(connection)
                    finally:
                        connection.release()
                self._watch(connection)
        except Stopped:
            owner.closing(connection)
            raise
        except EventServiceError as error:
            return error
        finally:
            connection.close()

    def _read(self, connection: Connection) -> None:
        """Pass frames to the owner, until another thread wants to read."""
        owner, silence = self._owner, self._silence
        while not connection.read_requested:
            try:
                frame = connection.listen(silence)
            except TimedOut:
                raise ConnectionLost(f"nothing was received for {silence:g} s") from None
            if frame is None:
                owner.woken()
            else:
                owner.received(frame)

    def _watch(self, connection: Connection) -> None:
        """Wait while another thread reads: until woken, or for a part of `silence`."""
        patience = None if self._silence is None else self._clock() + self._silence / _CHECKS
        if connection.watch(patience):
            self._owner.woken()
