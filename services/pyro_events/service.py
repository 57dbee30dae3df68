"""The event service inside a program: `with EventService() as es: …`."""

from __future__ import annotations

import logging
import threading
import warnings
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pyro_child.version import installed_version
from pyro_events import codec
from pyro_events._broker.engine import Engine
from pyro_events._broker.errors import (
    AddressUnusable,
    NameServerUnreachable,
    NameTaken,
    NotRunning,
)
from pyro_events._broker.registration import Registration
from pyro_events._broker.rpc.remote import make_items
from pyro_events._broker.settings import MIB, Settings
from pyro_events._protocol.subjects import check_subjects

if TYPE_CHECKING:
    from pyro_events.types import EventServiceStatistics, SubscriberInfo, WhenFull

__all__ = ["AddressUnusable", "EventService", "NameServerUnreachable", "NameTaken", "NotRunning"]

T = TypeVar("T")

_STOP_PATIENCE = 3.0
"""Seconds beyond the draining of queues that stopping may take."""
_log = logging.getLogger("pyro_events")


class EventService:
    """An event service on a thread of its own.

    host, port: where it listens; with port 0 the system chooses a free one, no other port is tried.
    The host "./u:PATH" is a Unix socket, which replaces a stale one and is removed at the end.
    register: whether it registers in the name server, at `ns` ("HOST:PORT" or a PYRO URI, None
    for Pyro5's NS_HOST and NS_PORT). ident: the identification that clients must present.
    queue_size, queue_bytes: how many events, and how many bytes of them (None: 16 MiB, or
    max_message_size if that is more), may wait for a subscriber. when_full: what happens beyond:
    "block", "drop-oldest", "drop-newest" or "disconnect". block_timeout: seconds that "block"
    holds a publisher before the event is dropped. max_message_size: bytes. max_connections,
    max_connections_per_peer, max_subscribers, max_subscriptions (of one subscriber): how many are
    accepted; the process needs as many descriptors. handshake_timeout: seconds for the handshake
    of a client. socket_mode: permissions of a Unix socket. trusted: whether clients may send
    marshal, with which a hostile one can crash the process.

    Raises ValueError for options out of range. Any thread may call any method. An EventService
    that is dropped without `stop` warns with ResourceWarning.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 0,
        *,
        register: bool = True,
        ns: str | None = None,
        ident: str | None = None,
        queue_size: int = 1000,
        queue_bytes: int | None = None,
        when_full: WhenFull = "block",
        block_timeout: float = 5.0,
        max_message_size: int = 16 * MIB,
        max_connections: int = 10_000,
        max_connections_per_peer: int = 8000,
        max_subscribers: int = 8000,
        max_subscriptions: int = 1000,
        handshake_timeout: float = 5.0,
        socket_mode: int = 0o600,
        trusted: bool = False,
    ) -> None:
        self._engine: Engine | None = None
        self._host = host
        self._port = port
        self._register = register
        self._ns = ns
        self._settings = Settings(
            ident=ident,
            trusted=trusted,
            queue_size=queue_size,
            queue_bytes=max(16 * MIB, max_message_size) if queue_bytes is None else queue_bytes,
            when_full=when_full,
            block_timeout=block_timeout,
            max_message_size=max_message_size,
            max_connections=max_connections,
            max_connections_per_peer=max_connections_per_peer,
            max_subscribers=max_subscribers,
            max_subscriptions=max_subscriptions,
            handshake_timeout=handshake_timeout,
            socket_mode=socket_mode,
        )
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._registration: Registration | None = None
        self._thread: threading.Thread | None = None
        self.ended: Future[None] = Future()
        """Done when the service has ended, for whatever reason."""

    def start(self) -> None:
        """Listen, serve on a thread, and register. When it returns, the service is ready.

        Raises AddressUnusable, NameServerUnreachable or NameTaken, after everything was released,
        and NotRunning if it was started before.
        """
        with self._lock:
            if self._engine is not None:
                raise NotRunning("an EventService is started once; make a new one")
            self._engine = Engine(self._host, self._port, self._settings, installed_version())
        self._thread = threading.Thread(
            target=_run, args=(self._engine, self.ended), name="event service", daemon=True
        )
        self._thread.start()
        if self._register:
            try:
                registration = Registration(self._ns, self.uri, self.incarnation)
                registration.register()
                self._registration = registration
            except BaseException:
                self.stop("it could not be registered")
                raise
        self._ready.set()

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until another thread's `start` is done; False after `timeout` seconds."""
        return self._ready.wait(timeout)

    def stop(self, reason: str = "stopped") -> None:
        """Notify aware subscribers, drain queues for at most 2 s, and end; again does nothing."""
        with self._lock:
            engine, thread = self._engine, self._thread
            registration, self._registration = self._registration, None
        if engine is None:
            return
        engine.stop(reason)
        if registration is not None:
            registration.remove()
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._settings.drain_timeout + _STOP_PATIENCE)

    def register(self, ns: str | None = None) -> None:
        """Register again, with a name server that came back empty; `ns` is its new place.

        Raises NameServerUnreachable or NameTaken.
        """
        with self._lock:
            if self._registration is None:
                self._registration = Registration(ns or self._ns, self.uri, self.incarnation)
            registration = self._registration
        registration.register(ns)

    @property
    def uri(self) -> str:
        """The address of the remote object. Raises NotRunning before the start."""
        return self._running.uri

    @property
    def incarnation(self) -> str:
        """The id of this run of the service. Raises NotRunning before the start."""
        return self._running.incarnation

    @property
    def registered(self) -> str | None:
        """The place of the name server in which the service is registered, or None."""
        registration = self._registration
        return registration.where if registration else None

    def publish(self, subjects: str | list[str] | tuple[str, ...], message: object) -> None:
        """Publish as a client does; returns when every subscriber's queue has the events.

        Raises ValueError or TypeError for a bad subject or message, NotRunning if the service isn't
        running.
        """
        texts = check_subjects(subjects)
        items = make_items(texts, codec.pack(message), self._settings.queue_bytes)
        self._result(self._running.publish(items))

    def statistics(self) -> EventServiceStatistics:
        """Return the counters since the start, and the present state, as the remote method does.

        Raises NotRunning before the start and after the end.
        """
        engine = self._running
        return self._result(engine.ask(engine.statistics))

    def subscriptions(self) -> list[SubscriberInfo]:
        """Return every subscriber with its subscriptions and its queue, as the remote method does.

        Raises NotRunning before the start and after the end.
        """
        engine = self._running
        return self._result(engine.ask(engine.subscriptions))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None and not self.ended.done():
            warnings.warn(f"unstopped EventService {engine.uri}", ResourceWarning, stacklevel=2)
            engine.stop("forgotten")

    @property
    def _running(self) -> Engine:
        if self._engine is None:
            raise NotRunning("the event service was not started")
        return self._engine

    def _result(self, future: Future[T]) -> T:
        both: list[Future[Any]] = [future, self.ended]
        wait(both, return_when=FIRST_COMPLETED)
        if not future.done():
            raise NotRunning("the event service has stopped")
        return future.result()


def _run(engine: Engine, ended: Future[None]) -> None:
    """Run in the service's thread; without a reference to the EventService, which can so go."""
    try:
        engine.run()
    except BaseException:
        _log.exception("the event service was ended by an error")
        raise
    finally:
        ended.set_result(None)
