"""The event service inside a program: `with EventService() as es: …`."""

from __future__ import annotations

import logging
import threading
import warnings
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pyro_events import codec
from pyro_events._broker.engine import Engine
from pyro_events._broker.errors import NotRunning
from pyro_events._broker.registration import Registration
from pyro_events._broker.rpc.arguments import make_items
from pyro_events._broker.settings import MIB, Settings
from pyro_events._protocol.subjects import check_subjects
from pyro_events._version import version

if TYPE_CHECKING:
    from types import TracebackType

    from pyro_events._protocol.when_full import WhenFull

T = TypeVar("T")

_STOP_PATIENCE = 3.0
"""Seconds beyond the draining of queues that stopping may take."""
_log = logging.getLogger("pyro_events")


class EventService:
    """An event service on a thread of its own.

    host, port: where it listens; port 0 takes a free one, never is another one taken than asked.
    The host "./u:PATH" is a Unix socket, which replaces a stale one and is removed at the end.
    register: whether it registers in the name server, at `ns` ("HOST:PORT" or a PYRO URI, None
    for Pyro5's NS_HOST and NS_PORT). ident: the identification that clients must present.
    queue_size, queue_bytes: how many events, and how many bytes of them (None: 16 MiB, or
    max_message_size if that is more), may wait for a subscriber. when_full: what happens beyond:
    "block", "drop-oldest", "drop-newest" or "disconnect". block_timeout: seconds that "block"
    holds a publisher before the event is dropped. max_message_size: bytes. max_connections,
    max_connections_per_peer, max_subscribers, max_subscriptions (of one subscriber): how many are
    taken; the program has to be allowed as many descriptors. handshake_timeout: seconds for a
    client to introduce itself. socket_mode: permissions of a Unix socket. trusted: clients may
    send marshal, with which a hostile one can crash the process.

    Raises ValueError for options out of range. All methods may be called from any thread. One
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

        Raises AddressUnusable, NameServerUnreachable or NameTaken, and then nothing is left of it.
        """
        with self._lock:
            if self._engine is not None:
                raise NotRunning("an EventService is started once; make a new one")
            self._engine = Engine(self._host, self._port, self._settings, version())
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
        """Wait until another thread's `start` is done; False when it takes longer."""
        return self._ready.wait(timeout)

    def stop(self, reason: str = "stopped") -> None:
        """Tell aware subscribers, let queues drain for at most 2 s, and end; again is no error."""
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
        """Register again, for a name server that came back empty; `ns` says where it is now.

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
        """The place of the name server that has our name, or None."""
        registration = self._registration
        return registration.where if registration else None

    def publish(self, subjects: str | list[str] | tuple[str, ...], message: object) -> None:
        """Publish as a client does; returns when every subscriber's queue has the events.

        Raises ValueError or TypeError for what can't be published, NotRunning if it is stopped.
        """
        texts = check_subjects(subjects)
        items = make_items(texts, codec.pack(message), self._settings.queue_bytes)
        self._result(self._running.publish(items))

    def statistics(self) -> dict[str, object]:
        """Give the counters, as the remote method does."""
        engine = self._running
        return self._result(engine.ask(engine.statistics))

    def subscriptions(self) -> list[dict[str, object]]:
        """Say who is subscribed to what, as the remote method does."""
        engine = self._running
        return self._result(engine.ask(engine.subscriptions))

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def __del__(self) -> None:
        """Warn if it was not stopped."""
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
    """Run in the service's thread; without a reference to the EventService, so that it can go."""
    try:
        engine.run()
    except BaseException:
        _log.exception("the event service has ended by an error")
        raise
    finally:
        ended.set_result(None)
