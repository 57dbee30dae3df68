"""Events the classical way: the event service calls an object in a Pyro5 daemon of our own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import Pyro5.server

from pyro_events._client.connection import ConnectionLost
from pyro_events._client.process import process
from pyro_events._client.receiving.inbox import Notice
from pyro_events._client.receiving.subscription import Subscription
from pyro_events._client.waker import Stopped
from pyro_events.errors import Closed, EventServiceError, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._client.calls import Calls
    from pyro_events._client.connection import Connection
    from pyro_events._client.names import Service
    from pyro_events._client.receiving.inbox import Inbox
    from pyro_events._client.receiving.subscription import Call
    from pyro_events._client.reconnecting_connection import Welcome
    from pyro_events._protocol.event import Event
    from pyro_wire.framing import Frame

MAX_WAITING = 1000
"""Events that may wait here to be handled; more wait at the event service, by its rules."""


class Callback(Subscription):
    """Keeps an object subscribed. Its link shows when the event service has gone."""

    def __init__(
        self,
        service: Service,
        ident: str | None,
        inbox: Inbox,
        options: dict[str, Any],
        daemon: dict[str, Any],
    ) -> None:
        super().__init__(service, ident, inbox, None)
        self._backlog = _Backlog(MAX_WAITING)
        self._incarnation: str | None = None
        self._was_dismissed = False
        """Whether we connect again because the event service has dismissed us."""
        self._requested: set[str] = set()
        """Texts that the event service may have heard of and not have forgotten."""
        self._daemon = _Daemon(**daemon)
        target = CallbackTarget(self, inbox, self._backlog)
        name = f"{options.pop('name', None) or 'subscriber'}_{uuid4().hex}".replace(" ", "_")
        self._options = options
        self._uri = str(self._daemon.register(target, name))
        self._thread = threading.Thread(
            target=self._daemon.requestLoop, name="pyro_events daemon", daemon=True
        )
        self._thread.start()

    def unsubscribe(self, texts: object) -> Sequence[str]:
        """Unsubscribe as `Subscription.unsubscribe`."""
        checked = super().unsubscribe(texts)
        with self._lock:
            self._requested.difference_update(checked)
        return checked

    def close(self, *, wait: bool = True) -> None:
        """Unsubscribe if possible, and end connection and daemon."""
        self._backlog.close()
        super().close(wait=wait)
        if wait:
            self._shut_down()
        else:
            threading.Thread(target=self._shut_down, daemon=True).start()

    def on_notice(self, notice: dict[str, Any]) -> None:
        """Process a notice; after a dismissal, the link connects again."""
        super().on_notice(notice)
        if self._dismissed:
            self.link.wake()

    def woken(self) -> None:
        """Connect again when the event service has dismissed us."""
        if self._dismissed:
            raise ConnectionLost("the subscriber's queue was full")

    def _shut_down(self) -> None:
        self._daemon.shutdown()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _attach(self, calls: Calls, connection: Connection, welcome: Welcome) -> list[Notice]:
        with self._lock:
            subjects, patterns = self.subscriptions.subjects, self.subscriptions.patterns
        # Taken before we subscribe: the next one may come at once, and would be overlooked.
        self._was_dismissed = self._take_dismissal() or self._was_dismissed
        before = self._incarnation
        restarted = before is not None and before != welcome.incarnation
        try:
            if restarted and self._request(
                calls, connection, ("remembers", [self._uri, before], {})
            ):
                restarted = False  # if something was missed, `es_notice` reports it
            for call in self._subscribing(subjects, patterns):
                self._request(calls, connection, call)
        except (EventServiceError, Stopped):
            raise
        except Exception as error:
            raise Refused(f"{welcome.uri} refused the subscriber: {error}") from error
        dismissed, self._was_dismissed = self._was_dismissed, False
        self._incarnation = welcome.incarnation
        if self._dismissed:
            self.link.wake()  # the first wake-up was lost during our calls
        if not (restarted or dismissed) or before is None or not (subjects or patterns):
            return []
        reason = "restarted" if restarted else "full"
        return [Notice("gap", {"kind": "gap", "missed": None, "reason": reason})]

    def _on_push(self, frame: Frame) -> None:
        raise EventServiceError(f"the event service sent a frame of type {frame.type}")

    def _subscribing(self, subjects: Sequence[str], patterns: Sequence[str]) -> list[Call]:
        with self._lock:
            self._requested.update(subjects, patterns)
        calls: list[Call] = []
        if subjects:
            calls.append(("subscribe", [list(subjects), self._uri], self._options))
        if patterns:
            calls.append(("subscribeMatch", [list(patterns), self._uri], self._options))
        return calls

    def _final_calls(self) -> list[Call]:
        with self._lock:
            requested = list(self._requested)
        return [self._unsubscribing(requested)] if requested else []

    def _unsubscribing(self, texts: Sequence[str]) -> Call:
        return "unsubscribe", [list(texts), self._uri], {}


class _Daemon(Pyro5.server.Daemon):  # type: ignore[misc] # Pyro5 ships no types
    """A daemon whose sockets are closed in forked children."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        process.add_socket(self.transportServer.sock)

    def validateHandshake(self, conn: Any, data: Any) -> Any:  # noqa: N802 - Pyro5's name
        """Accept everybody, as Pyro5 does."""
        process.add_socket(conn.sock)
        return super().validateHandshake(conn, data)


class _Backlog:
    """Counts the events that wait to be handled; beyond `limit`, the bringing threads wait, too.

    Events that arrive before the newest delivery is opened join it.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._delivery: _CallbackDelivery | None = None
        self._closed = False
        self._lock = threading.RLock()  # collecting garbage may call `close`
        self._changed = threading.Condition(self._lock)

    def add(self, event: Event) -> _CallbackDelivery | None:
        """Add an event when there is room; return its delivery if that is a new one."""
        with self._lock:
            while self._free <= 0 and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed("the subscriber was closed")
            self._free -= 1
            if self._delivery is not None:
                self._delivery.events.append(event)
                return None
            self._delivery = _CallbackDelivery(self, event)
            return self._delivery

    def seal(self) -> None:
        """Begin a new delivery with the next event."""
        with self._lock:
            self._delivery = None

    def release(self, count: int) -> None:
        """Make room for `count` events."""
        with self._changed:
            self._free += count
            self._changed.notify(count)

    def close(self) -> None:
        """Release all waiting threads, which raise Closed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@Pyro5.server.expose
class CallbackTarget:
    """The object that the event service calls, in the daemon's threads."""

    def __init__(self, callback: Callback, inbox: Inbox, backlog: _Backlog) -> None:
        self._callback = callback
        self._inbox = inbox
        self._backlog = backlog

    def event(self, event: Event) -> None:
        """Take an event; returns when there is room for it, long before it is handled."""
        delivery = self._backlog.add(event)
        if delivery is not None:
            self._inbox.put(delivery)

    def es_notice(self, notice: dict[str, Any]) -> None:
        """Take a notice, which belongs after the events so far."""
        self._backlog.seal()
        self._callback.on_notice(notice)


class _CallbackDelivery:
    __slots__ = ("_backlog", "_handled", "events")

    def __init__(self, backlog: _Backlog, event: Event) -> None:
        self.events = [event]
        self._backlog = backlog
        self._handled = 0

    def open(self) -> Sequence[Event]:
        self._backlog.seal()
        return self.events

    def handled(self, count: int) -> None:
        self._backlog.release(count - self._handled)
        self._handled = count
