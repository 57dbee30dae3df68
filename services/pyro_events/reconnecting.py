"""A proxy for the user's own services that finds them again when they come back."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from Pyro5.core import URI
from Pyro5.errors import CommunicationError, PyroError
from Pyro5.serializers import serializers

from pyro_events._client import names
from pyro_events._client.closeable import Closeable
from pyro_events._client.connection import ConnectionLost
from pyro_events._client.proxy_pool import Pool, PooledProxy, ProxyOptions
from pyro_events._client.waker import Stopped, Waker
from pyro_events._service_events import LifeCycle
from pyro_events.errors import Closed, EventServiceError, OutcomeUnknown, Unreachable
from pyro_wire.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pyro_events._service_events import ServiceEvent

PATIENCE = 30.0
CONNECT_TIMEOUT = 5.0
"""Seconds for one attempt: lookup, connection and handshake together."""
_CHANCE = random.SystemRandom().random
"""Not the numbers of `random` itself: the program may have seeded those for itself."""
_COUNTED = (
    "calls", "connections", "failures", "repeated", "unknown", "unreachable", "dropped",
)  # fmt: skip

_log = logging.getLogger("pyro_events")


class ReconnectingProxy(Closeable):
    """Calls a Pyro object, and connects again when its service was restarted, here or elsewhere.

    `uri` is `PYRONAME:name`, looked up again for every new connection, or `PYRO:…`. A call for
    which there is no connection waits at most `patience` seconds for one. When the connection
    breaks after a call was sent, the call may or may not have been executed: it is sent again if
    its method is among the `repeatable`, else the caller gets an `OutcomeUnknown`. `timeout` is
    how many seconds an answer may take (None: Pyro5's COMMTIMEOUT); `handshake` and `serializer`
    are as in Pyro5. With `events`, a `LifeCycle` or the URI of an event service, the proxy hears
    from the manager when a service has gone or runs again.

    Methods and attributes of the object are used as with a Pyro5 proxy; `method` reaches those
    whose names are taken here. Any thread may call anything: every call under way has a
    connection for itself, so calls run side by side. Raises ValueError or TypeError for arguments
    that make no sense. It connects when it is first used, has to be closed, and is a context
    manager.
    """

    def __init__(
        self,
        uri: str,
        *,
        repeatable: Collection[str] = (),
        patience: float = PATIENCE,
        timeout: float | None = None,
        handshake: Any = None,
        serializer: str | None = None,
        events: LifeCycle | str | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = _CHANCE,
    ) -> None:
        self._target = _parse(uri)
        self._repeatable = _check_names(repeatable)
        self._patience = _check_seconds("patience", patience)
        if timeout is not None:
            _check_seconds("timeout", timeout)
        if serializer is not None and serializer not in serializers:
            raise ValueError(f"serializer must be one of {', '.join(serializers)}: {serializer!r}")
        self._manner = ProxyOptions(handshake, serializer, timeout)
        self._clock = clock
        self._chance = chance
        self._pool = Pool()
        self._changed = threading.Condition()
        self._news = 0
        self._wakers: set[Waker] = set()
        self._connected: bool | None = None
        self._place: URI | None = None
        self._methods: frozenset[str] = frozenset()
        self._attributes: frozenset[str] = frozenset()
        self._counts = dict.fromkeys(_COUNTED, 0)
        self._own_events: LifeCycle | None = None
        if isinstance(events, str):
            events = self._own_events = LifeCycle(events)
        elif events is not None and not isinstance(events, LifeCycle):
            raise TypeError(f"events must be a URI or a LifeCycle, not {type(events).__name__}")
        self._events = events
        self._closed = False
        if events is not None:
            events.watch(self)

    # -- to override

    def connected(self, notice: dict[str, Any]) -> None:
        """Learn that there is a connection, the first one or one more after a break.

        Hooks are called in the thread that noticed, and before the call goes on that needs the
        connection. `notice` has `kind`, `uri` and `reason`.
        """

    def disconnected(self, notice: dict[str, Any]) -> None:
        """Learn that a connection broke or the first one could not be made, and the `reason`."""

    # -- to call

    def method(self, name: str, *, repeatable: bool | None = None) -> Callable[..., Any]:
        """Give a method of the remote object whatever it is called, as a function.

        `repeatable` says whether its calls may be sent again; None: as told at the beginning.
        """
        safe = name in self._repeatable if repeatable is None else repeatable
        return partial(self._invoke, name, safe)

    def statistics(self) -> dict[str, int]:
        """Give the counts since the proxy was made.

        `calls`, `connections` that were made, `failures` of attempts to make one, `repeated` calls
        (sent again), calls whose outcome is `unknown` and those that found the object
        `unreachable`, and connections `dropped` because the manager said that the service has gone.
        """
        with self._changed:
            return dict(self._counts)

    def close(self) -> None:
        """Close all connections; calls under way end with an error. Closing again does nothing."""
        with self._changed:
            self._closed = True
            for waker in self._wakers:
                waker.stop()
            self._changed.notify_all()
        self._pool.close()
        if self._events is not None:
            self._events.unwatch(self)
        if self._own_events is not None:
            self._own_events.close()

    def __repr__(self) -> str:
        state = f"connected to {self._place}" if self._connected else "not connected"
        return f"<{type(self).__name__} {self._target}; {state}>"

    def _abandon(self) -> str | None:
        used = self._connected or self._own_events is not None
        self._pool.close()
        if self._own_events is not None:
            threading.Thread(target=self._own_events.close, daemon=True).start()
        return "proxy" if used else None

    # -- the remote object

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        if name not in self._methods and name not in self._attributes:
            self._learn()
        if name in self._methods:
            return self.method(name)
        if name in self._attributes:
            return self._invoke("__getattr__", name in self._repeatable, name)
        raise AttributeError(f"{self._place} has no exposed attribute or method {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
            return
        if name not in self._attributes:
            self._learn()
        if name not in self._attributes:
            raise AttributeError(f"{self._place} has no exposed attribute {name!r}")
        self._invoke("__setattr__", name in self._repeatable, name, value)

    def _learn(self) -> None:
        """Have a connection, with which comes what the object exposes."""
        try:
            line = self._borrow(self._clock() + self._patience, self._backoff())
        except Unreachable:
            self._count("unreachable")
            raise
        self._pool.give_back(line)

    def _invoke(self, name: str, repeatable: bool, /, *args: Any, **kwargs: Any) -> Any:
        """Call once, or until there is an answer; every error says which it was."""
        self._count("calls")
        deadline, backoff = self._clock() + self._patience, self._backoff()
        unanswered: ConnectionLost | None = None
        while True:
            try:
                line = self._borrow(deadline, backoff)
            except EventServiceError as error:
                if unanswered is None:
                    self._count("unreachable", isinstance(error, Unreachable))
                    raise
                raise self._outcome_unknown(name, error) from unanswered
            if unanswered is not None:
                self._count("repeated")
            answer = None
            try:
                answer = line.call(name, args, kwargs)
            except ConnectionLost as error:
                self._went(error)
                if not repeatable:
                    raise self._outcome_unknown(name, error) from error
                if unanswered is None:  # however long the call itself took
                    deadline = self._clock() + self._patience
                unanswered = error
            else:
                return answer
            finally:
                self._pool.give_back(line, answer)
            self._pause(backoff, deadline, self._news)

    # -- connections

    def _borrow(self, deadline: float, backoff: Backoff) -> PooledProxy:
        """Give a connection, made anew if need be; raises Unreachable and Closed."""
        while True:
            if self._closed:
                raise Closed("the proxy was closed")
            ready = self._pool.take(lambda: self._went("the other side closed the connection"))
            if ready is not None:
                return ready
            news = self._news
            try:
                made = self._connect(min(deadline, self._clock() + CONNECT_TIMEOUT))
            except (EventServiceError, CommunicationError) as error:
                if self._closed:
                    raise Closed("the proxy was closed") from error
                self._count("failures")
                self._went(error)
                if not self._pause(backoff, deadline, news):
                    raise Unreachable(
                        f"{self._target} did not answer for {self._patience:g} s: {error}"
                    ) from error
            else:
                self._pool.lend(made)
                self._came(made)
                return made

    def _connect(self, deadline: float) -> PooledProxy:
        waker = Waker()
        try:
            with self._changed:
                if self._closed:
                    raise Closed("the proxy was closed")
                self._wakers.add(waker)
            try:
                uri = names.resolve(self._target, waker, self._clock, deadline)
            except Stopped:
                raise Closed("the proxy was closed") from None
            except TimeoutError:
                raise Unreachable("the name server does not answer") from None
            return PooledProxy(uri, self._manner, deadline - self._clock())
        finally:
            with self._changed:
                self._wakers.discard(waker)
            waker.close()

    def _backoff(self) -> Backoff:
        return Backoff(self._chance)

    def _pause(self, backoff: Backoff, deadline: float, news: int) -> bool:
        """Wait before the next attempt, until the manager has news; False at the deadline."""
        left = deadline - self._clock()
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._news != news, max(0.0, min(backoff.next(), left))
            )
        return self._clock() < deadline

    # -- what is to be told

    def heard(self, news: ServiceEvent | None) -> None:
        """Use what the manager publishes; called by the `LifeCycle`, in its thread."""
        if news is not None and not news.running:
            self._drop(news)
            return
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    def _drop(self, news: ServiceEvent) -> None:
        """Cut the connections to a process that has gone, and none to the one that followed it."""

        def concerned(line: PooledProxy) -> bool:
            return line.place.location == news.location and (
                news.time is None or line.made <= news.time
            )

        if self._pool.any(concerned):
            self._went(news.reason)
            self._count("dropped", self._pool.drop(concerned))

    def _came(self, line: PooledProxy) -> None:
        with self._changed:
            before, self._connected = self._connected, True
            self._place, self._methods, self._attributes = line.place, line.methods, line.attributes
            self._counts["connections"] += 1
        if not before:
            _log.info("connected to %s at %s", self._target, self._place)
            self._tell("connected", None if before is None else "it is back")

    def _went(self, reason: object) -> None:
        with self._changed:
            before, self._connected = self._connected, False
        if before is not False:
            _log.warning("no connection to %s: %s", self._target, reason)
            self._tell("disconnected", str(reason))

    def _tell(self, hook: str, reason: str | None) -> None:
        place = None if self._place is None else str(self._place)
        try:
            getattr(self, hook)({"kind": hook, "uri": place, "reason": reason})
        except Exception:  # noqa: BLE001 - it is the user's, and must not end the call
            _log.exception("error in %s()", hook)

    def _outcome_unknown(self, name: str, error: Exception) -> OutcomeUnknown:
        self._count("unknown")
        return OutcomeUnknown(
            f"the call of {name}() at {self._place} may or may not have been executed: {error}"
        )

    def _count(self, what: str, number: int = 1) -> None:
        with self._changed:
            self._counts[what] += number


def _parse(uri: str) -> URI:
    if not isinstance(uri, (str, URI)):
        raise TypeError(f"uri must be text, not {type(uri).__name__}: {uri!r:.60}")
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


__all__ = ["PATIENCE", "LifeCycle", "ReconnectingProxy"]
