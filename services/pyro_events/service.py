"""The event service inside a program: `with EventService() as es: …`."""

from __future__ import annotations

import functools
import logging
import sys
import threading
import warnings
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from pyro_child.version import installed_version
from pyro_events import codec
from pyro_events._broker.engine import Engine
from pyro_events._broker.errors import (
    AddressUnusable,
    NameServerUnreachable,
    NameTaken,
    NotRunning,
    TlsUnusable,
)
from pyro_events._broker.registration import Registration
from pyro_events._broker.rpc.arguments import make_items
from pyro_events._broker.settings import ServiceOptions, settings_of
from pyro_events._client.process import process
from pyro_events._protocol.subjects import check_publishable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events.types import EventServiceStatistics, SubscriberInfo

__all__ = [
    "AddressUnusable",
    "EventService",
    "NameServerUnreachable",
    "NameTaken",
    "NotRunning",
    "TlsUnusable",
]

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

_STOP_PATIENCE = 3.0
"""Seconds beyond the draining of queues that stopping may take."""
_log = logging.getLogger("pyro_events")


def _built_from(
    options: Callable[P, T],
) -> Callable[[Callable[[S, T], None]], Callable[Concatenate[S, P], None]]:
    """Make an initializer take the arguments of a dataclass, where they are declared once."""

    def decorate(init: Callable[[S, T], None]) -> Callable[Concatenate[S, P], None]:
        def build(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
            init(self, options(*args, **kwargs))

        return functools.update_wrapper(build, options.__init__)  # for help()

    return decorate


class EventService:
    """An event service on a thread of its own. Its arguments are the options of es(1).

    host, port: where it listens; port 0 takes any free port. The host "./u:PATH" is a Unix socket,
    which replaces a stale one and is removed at the end. register: whether to register in the name
    server, at `ns` ("HOST:PORT" or a PYRO URI, None for Pyro5's NS_HOST and NS_PORT).

    All others are keyword arguments, named after the options: ident, queue_size, queue_bytes (None:
    16 MiB, or max_message_size if that is more), max_queued_bytes, when_full, patience,
    stuck_timeout, max_message_size, max_connections, max_connections_per_peer, max_subscribers,
    max_subscriptions, callback_allow (a tuple), allow (a tuple of dicts with the keys of the rules
    in pyroctl.toml(5)), handshake_timeout, trusted, tls, tls_certificate, tls_key, tls_ca,
    tls_clients, tcp_only and socket_mode (an integer). The program has to be allowed as many
    descriptors as it takes connections.

    Raises ValueError for options out of bounds. All methods may be called from any thread. An
    EventService that is dropped without `stop` warns with ResourceWarning.
    """

    @_built_from(ServiceOptions)
    def __init__(self, options: ServiceOptions) -> None:
        self._engine: Engine | None = None
        self._host = options.host
        self._port = options.port
        self._register = options.register
        self._ns = options.ns
        self._settings = settings_of(options)
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._registration: Registration | None = None
        self._thread: threading.Thread | None = None
        self.ended: Future[None] = Future()
        """Done when the service has ended, for whatever reason."""

    def start(self) -> None:
        """Listen, serve on a thread, and register. When it returns, the service is ready.

        Raises AddressUnusable, TlsUnusable, NameServerUnreachable or NameTaken, after everything
        was released, and NotRunning if it was started before.
        """
        _check_threads()
        with self._lock:
            if self._engine is not None:
                raise NotRunning("an EventService is started once; make a new one")
            self._engine = Engine(self._host, self._port, self._settings, installed_version())
        self._thread = threading.Thread(
            target=_run, args=(self._engine, self.ended), name="event service", daemon=True
        )
        self._thread.start()
        process.add(self)
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
        with nullcontext() if sys.is_finalizing() else self._lock:
            engine, thread = self._engine, self._thread
            registration, self._registration = self._registration, None
        if engine is None:
            return
        engine.stop(reason)
        if registration is not None:
            registration.remove()
        if sys.is_finalizing():
            return
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
        """Publish as a client does, with the service's `patience` for full queues.

        Raises ValueError or TypeError for a bad subject or message, NotRunning if the service isn't
        running.
        """
        texts = check_publishable(subjects)
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

    def _after_fork(self, _inherited: object) -> None:
        if self._engine is not None:
            self._engine.disinherit()
        self._engine = self._registration = self._thread = None
        self._lock = threading.Lock()

    def _at_exit(self, began: float) -> None:
        """Do nothing: it serves exit handlers, too."""

    @property
    def _running(self) -> Engine:
        if self._engine is None:
            raise NotRunning("the event service was not started in this process")
        return self._engine

    def _result(self, future: Future[T]) -> T:
        _check_threads()
        both: list[Future[Any]] = [future, self.ended]
        wait(both, return_when=FIRST_COMPLETED)
        if not future.done():
            raise NotRunning("the event service has stopped")
        return future.result()


def _check_threads() -> None:
    if sys.is_finalizing():
        raise NotRunning("the interpreter is ending and has stopped the event service's thread")


def _run(engine: Engine, ended: Future[None]) -> None:
    """Run in the service's thread; without a reference to the EventService, which can so go."""
    try:
        engine.run()
    except BaseException:
        _log.exception("the event service was ended by an error")
        raise
    finally:
        ended.set_result(None)
