"""A proxy for the user's own services that reconnects when they come back."""

from __future__ import annotations

import contextlib
import logging
import random
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from Pyro5.core import URI
from Pyro5.errors import CommunicationError, PyroError
from Pyro5.serializers import serializers

from pyro_events._client import names
from pyro_events._client.closeable import Closeable
from pyro_events._client.connection import ConnectionLost
from pyro_events._client.proxy_pool import Pool, PooledProxy, ProxyOptions
from pyro_events._client.waker import Stopped, Waker
from pyro_events._protocol.subjects import check_encodable
from pyro_events._service_events import LifeCycle
from pyro_events.errors import Closed, EventServiceError, OutcomeUnknown, Unreachable
from pyro_events.ident import own_secret
from pyro_events.tls import load
from pyro_events.types import ProxyStatistics
from pyro_wire.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pyro_events._service_events import ServiceEvent
    from pyro_events.tls import Tls
    from pyro_events.types import ProxyNotice

__all__ = ["LifeCycle", "ReconnectingProxy"]

PATIENCE = 30.0
CONNECT_TIMEOUT = 5.0
"""Seconds for one attempt: lookup, connection and handshake together."""
_CHANCE = random.SystemRandom().random
"""Not the numbers of `random` itself: the program may have seeded those."""

_log = logging.getLogger("pyro_events")

LifeCycle.__module__ = __name__


class ReconnectingProxy(Closeable):
    """Calls a Pyro object, and reconnects when its service was restarted, here or elsewhere.

    `uri` is `PYRONAME:name`, looked up again for every connection, or `PYRO:…`. A call without a
    connection waits at most `patience` seconds for one; then it raises `Unreachable`. If the
    connection breaks after a call was sent, the call may or may not have been executed: it is sent
    again if its method is among the `repeatable`, otherwise it raises `OutcomeUnknown` (both of
    `pyro_events.errors`). `timeout` is how many seconds an answer may take (None: Pyro5's
    COMMTIMEOUT); `handshake` and `serializer` are as in Pyro5, `ident` is for an event service, as
    of `pyro_events.identified`. With `broadcast` a name
    server that isn't at NS_HOST is searched in the network. With `events`, a `LifeCycle` or the
    URI of an event service, the manager's state events show when a service has gone or is back.
    `tls` is as for a `Publisher`: the name server, the object and the event service of that URI are
    reached over TLS, whatever Pyro5's settings say; without it, these decide.

    Methods and attributes of the object are used as with a Pyro5 proxy; `method` reaches those
    whose names are taken here. Any thread may call anything: every call in progress has its own
    connection, so calls run in parallel. After `close` they raise `Closed`. Raises ValueError or
    TypeError for invalid arguments. A proxy connects when it is first used, and has to be closed;
    as a context manager it closes itself.
    """

    def __init__(
        self,
        uri: str,
        *,
        repeatable: Collection[str] = (),
        patience: float = PATIENCE,
        timeout: float | None = None,
        handshake: Any = None,
        ident: str | None = None,
        serializer: str | None = None,
        broadcast: bool = False,
        events: LifeCycle | str | None = None,
        tls: Tls | str | bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = _CHANCE,
    ) -> None:
        self._target = _parse(uri)
        self._broadcast = broadcast
        self._repeatable = _check_names(repeatable)
        self._patience = _check_seconds("patience", patience)
        if timeout is not None:
            _check_seconds("timeout", timeout)
        if serializer is not None and serializer not in serializers:
            raise ValueError(f"serializer must be one of {', '.join(serializers)}: {serializer!r}")
        if ident is not None:
            own_secret(ident)
        self._options = ProxyOptions(handshake, serializer, timeout, ident, load(tls))
        self._clock = clock
        self._chance = chance
        self._pool = Pool()
        self._changed = threading.Condition()
        self._changes = 0
        self._wakers: set[Waker] = set()
        self._connected: bool | None = None
        self._uri: URI | None = None
        self._methods: frozenset[str] = frozenset()
        self._attributes: frozenset[str] = frozenset()
        self._counts = dict.fromkeys(ProxyStatistics.__annotations__, 0)
        self._own_events: LifeCycle | None = None
        if isinstance(events, str):
            events = self._own_events = LifeCycle(events, broadcast=broadcast, tls=tls)
        elif events is not None and not isinstance(events, LifeCycle):
            raise TypeError(f"events must be a URI or a LifeCycle, not {type(events).__name__}")
        self._events = events
        self._ready()
        if events is not None:
            events.watch(self)

    # -- to override

    def connected(self, notice: ProxyNotice) -> None:
        """Override this hook to learn of a connection, the first one or one after a break.

        Hooks are called in the thread that noticed, before its call continues. An exception in a
        hook is logged. `notice` has the object's `uri`, and the `reason`, None at first.
        """

    def disconnected(self, notice: ProxyNotice) -> None:
        """Override this hook to learn that a connection broke or the first one failed, and why."""

    # -- to call

    def method(self, name: str, *, repeatable: bool | None = None) -> Callable[..., Any]:
        """Return a method of the remote object as a function, whatever its name.

        `repeatable` is whether its calls may be sent again; None: as given to the constructor.
        """
        safe = name in self._repeatable if repeatable is None else repeatable
        return partial(self._invoke, name, safe)

    def statistics(self) -> ProxyStatistics:
        """Return the counts since the proxy was made.

        The keys are `calls`, `connections`, `failures`, `repeated`, `unknown`, `unreachable` and
        `dropped`; `pyro_events.types.ProxyStatistics` explains each.
        """
        return cast("ProxyStatistics", dict(self._counts))

    def close(self) -> None:
        """Close all connections; calls in progress raise an error. Closing again does nothing."""
        self._renew_locks()
        with self._changed:
            self._closed = True
            for waker in self._wakers:
                waker.stop()
            self._changed.notify_all()
        self._pool.close()
        if sys.is_finalizing():
            return
        if self._events is not None:
            self._events.unwatch(self)
        if self._own_events is not None:
            self._own_events.close()

    def __repr__(self) -> str:
        state = f"connected to {self._uri}" if self._connected else "not connected"
        return f"<{type(self).__name__} {self._target}; {state}>"

    def _unclosed(self) -> str | None:
        return "proxy" if self._connected or self._own_events is not None else None

    def _abandon(self) -> None:
        self._pool.close()
        if self._own_events is not None:
            threading.Thread(target=self._own_events.close, daemon=True).start()

    def _after_fork(self, inherited: Any) -> None:
        self._pool, self._changed, self._wakers = inherited, threading.Condition(), set()
        self._events = self._own_events = self._connected = None

    # -- the remote object

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        if name not in self._methods and name not in self._attributes:
            self._load_metadata()
        if name in self._methods:
            return self.method(name)
        if name in self._attributes:
            return self._invoke("__getattr__", name in self._repeatable, name)
        raise AttributeError(f"{self._uri} has no exposed attribute or method {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
            return
        if name not in self._attributes:
            self._load_metadata()
        if name not in self._attributes:
            raise AttributeError(f"{self._uri} has no exposed attribute {name!r}")
        self._invoke("__setattr__", name in self._repeatable, name, value)

    def _load_metadata(self) -> None:
        """Get a connection, and with it the names that the object exposes."""
        self._renew_locks()
        try:
            proxy = self._acquire(self._clock() + self._patience, Backoff(self._chance))
        except Unreachable:
            self._count("unreachable")
            raise
        self._pool.release(proxy)

    def _invoke(self, name: str, repeatable: bool, /, *args: Any, **kwargs: Any) -> Any:
        """Call once, or until there is an answer; errors tell whether it may have been executed."""
        self._renew_locks()
        self._count("calls")
        deadline, backoff = self._clock() + self._patience, Backoff(self._chance)
        unanswered: ConnectionLost | None = None
        while True:
            try:
                proxy = self._acquire(deadline, backoff)
            except EventServiceError as error:
                if unanswered is None:
                    self._count("unreachable", isinstance(error, Unreachable))
                    raise
                raise self._outcome_unknown(name, error) from unanswered
            if unanswered is not None:
                self._count("repeated")
            answer = None
            try:
                answer = proxy.call(name, args, kwargs)
            except ConnectionLost as error:
                self._connection_lost(error)
                if not repeatable:
                    raise self._outcome_unknown(name, error) from error
                if unanswered is None:  # however long the call itself took
                    deadline = self._clock() + self._patience
                unanswered = error
            else:
                return answer
            finally:
                self._pool.release(proxy, answer)
            self._pause(backoff, deadline, self._changes)

    # -- connections

    def _renew_locks(self) -> None:
        """Renew the locks while the interpreter ends: threads that have stopped may hold them."""
        if sys.is_finalizing():
            self._changed = threading.Condition()
            self._pool.renew_lock()

    def _acquire(self, deadline: float, backoff: Backoff) -> PooledProxy:
        """Return an idle connection or a new one; raises Unreachable and Closed."""
        while True:
            if self._closed:
                raise Closed("the proxy was closed")
            ready = self._pool.acquire(
                lambda: self._connection_lost("the other side closed the connection")
            )
            if ready is not None:
                return ready
            changes = self._changes
            try:
                made = self._connect(min(deadline, self._clock() + CONNECT_TIMEOUT))
            except (EventServiceError, CommunicationError) as error:
                if self._closed:
                    raise Closed("the proxy was closed") from error
                self._count("failures")
                self._connection_lost(error)
                if not self._pause(backoff, deadline, changes):
                    raise Unreachable(
                        f"{self._target} did not answer for {self._patience:g} s: {error}"
                    ) from error
            else:
                self._pool.add(made)
                self._connection_made(made)
                return made

    def _connect(self, deadline: float) -> PooledProxy:
        waker = Waker()
        service = names.Service(self._target, self._broadcast, self._options.tls)
        try:
            with self._changed:
                if self._closed:
                    raise Closed("the proxy was closed")
                self._wakers.add(waker)
            try:
                uri = names.resolve(service, waker, self._clock, deadline)
            except Stopped:
                raise Closed("the proxy was closed") from None
            except TimeoutError:
                raise Unreachable("the name server does not answer") from None
            return PooledProxy(uri, self._options, deadline - self._clock())
        finally:
            with self._changed:
                self._wakers.discard(waker)
            waker.close()

    def _pause(self, backoff: Backoff, deadline: float, changes: int) -> bool:
        """Wait before the next attempt, or for a change; False at the deadline."""
        left = deadline - self._clock()
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._changes != changes,
                max(0.0, min(backoff.next(), left)),
            )
        return self._clock() < deadline

    # -- notices

    def _service_changed(self, change: ServiceEvent | None) -> None:
        """Handle a change that the manager published; called in the thread of the `LifeCycle`."""
        if change is not None and not change.running:
            self._drop_connections(change)
            return
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def _drop_connections(self, change: ServiceEvent) -> None:
        """Drop the connections to a process that has gone, not those to its successor."""

        def concerned(proxy: PooledProxy) -> bool:
            return proxy.uri.location == change.location and (
                change.time is None or proxy.made <= change.time
            )

        if self._pool.any(concerned):
            self._connection_lost(change.reason)
            self._count("dropped", self._pool.drop(concerned))

    def _connection_made(self, proxy: PooledProxy) -> None:
        with self._changed:
            before, self._connected = self._connected, True
            self._uri, self._methods, self._attributes = proxy.uri, proxy.methods, proxy.attributes
            self._counts["connections"] += 1
        if sys.is_finalizing():
            return
        if before is None:
            _log.info("connected to %s at %s", self._target, self._uri)
            self._notify("connected", None)
        elif not before:
            _log.warning("connected again to %s, at %s", self._target, self._uri)
            self._notify("connected", "it is back")

    def _connection_lost(self, reason: object) -> None:
        with self._changed:
            before, self._connected = self._connected, False
        if before is not False and not sys.is_finalizing():  # a log handler has a lock, too
            _log.warning("no connection to %s: %s", self._target, reason)
            self._notify("disconnected", str(reason))

    def _notify(self, hook: str, reason: str | None) -> None:
        uri = None if self._uri is None else str(self._uri)
        self._call_hook(hook, {"kind": hook, "uri": uri, "reason": reason})

    def _outcome_unknown(self, name: str, error: Exception) -> OutcomeUnknown:
        self._count("unknown")
        return OutcomeUnknown(
            f"the call of {name}() at {self._uri} may or may not have been executed: {error}"
        )

    def _count(self, what: str, number: int = 1) -> None:
        with self._changed:
            self._counts[what] += number


def _parse(uri: str) -> URI:
    if not isinstance(uri, (str, URI)):
        raise TypeError(f"uri must be text, not {type(uri).__name__}: {uri!r:.60}")
    check_encodable(str(uri), "uri")
    with contextlib.suppress(PyroError):
        parsed = URI(uri)
        if parsed.protocol in ("PYRO", "PYRONAME"):
            return parsed
    raise ValueError(f"uri must be like PYRONAME:name or PYRO:object@host:port, not {uri!r}")


def _check_names(repeatable: Collection[str]) -> frozenset[str]:
    if isinstance(repeatable, str) or not all(isinstance(name, str) for name in repeatable):
        raise TypeError(f"repeatable must be names of methods, not {repeatable!r}")
    return frozenset(repeatable)


def _check_seconds(name: str, seconds: float) -> float:
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{name} must be more than 0 seconds, not {seconds!r}")
    return seconds
