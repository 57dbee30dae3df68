"""Events the classical way: the event service calls an object in a Pyro5 daemon of our own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import Pyro5.server

from pyro_events._client.connection import ConnectionLost
from pyro_events._client.receiving.inbox import Notice
from pyro_events._client.receiving.subscription import Subscription
from pyro_events._client.waker import Stopped
from pyro_events.errors import Closed, EventServiceError, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._client.calls import Calls
    from pyro_events._client.connection import Connection
    from pyro_events._client.receiving.inbox import Inbox
    from pyro_events._client.receiving.subscription import Call
    from pyro_events._client.reconnecting_connection import Welcome
    from pyro_events._protocol.event import Event
    from pyro_wire.framing import Frame

MAX_WAITING = 1000
"""Events that may wait here to be handled; more wait at the event service, by its rules."""


class Callback(Subscription):
    """Keeps an object subscribed. A connection to the event service tells when it has gone."""

    def __init__(
        self,
        es: str | None,
        ident: str | None,
        inbox: Inbox,
        options: dict[str, Any],
        daemon: dict[str, Any],
    ) -> None:
        super().__init__(es, ident, inbox, None)
        self._options = {key: value for key, value in options.items() if value is not None}
        self._room = _Room(MAX_WAITING)
        self._incarnation: str | None = None
        self._sent_away = False
        """Whether we come back because the event service has sent us away."""
        self._asked: set[str] = set()
        """What the event service may have heard of and not have forgotten."""
        self._daemon = Pyro5.server.Daemon(**daemon)
        target = CallbackTarget(self, inbox, self._room)
        name = f"{options.get('name') or 'subscriber'}_{uuid4().hex}".replace(" ", "_")
        self._options.pop("name", None)
        self._uri = str(self._daemon.register(target, name))
        self._thread = threading.Thread(
            target=self._daemon.requestLoop, name="pyro_events daemon", daemon=True
        )
        self._thread.start()

    def unsubscribe(self, texts: Sequence[str], timeout: float) -> None:
        """Have the subscriptions gone at the event service when this returns."""
        super().unsubscribe(texts, timeout)
        with self._lock:
            self._asked.difference_update(texts)

    def close(self, *, wait: bool = True) -> None:
        """Unsubscribe if possible, and end connection and daemon."""
        self._room.close()
        super().close(wait=wait)
        if wait:
            self._shut_down()
        else:
            threading.Thread(target=self._shut_down, daemon=True).start()

    def noticed(self, notice: dict[str, Any]) -> None:
        """Take what the event service says; when it has sent us away, we come back."""
        super().noticed(notice)
        if self._dismissed:
            self.link.wake()

    def woken(self) -> None:
        """Begin anew when the event service has sent us away."""
        if self._dismissed:
            raise ConnectionLost("the subscriber's queue was full")

    def _shut_down(self) -> None:
        self._daemon.shutdown()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _attach(self, calls: Calls, connection: Connection, welcome: Welcome) -> list[Notice]:
        with self._lock:
            subjects, patterns = self.wanted.subjects, self.wanted.patterns
        # Taken before we subscribe: the next one may come at once, and would be overlooked.
        self._sent_away = self._take_dismissal() or self._sent_away
        before = self._incarnation
        restarted = before is not None and before != welcome.incarnation
        try:
            if restarted and self._request(calls, connection, self._remembers(before)):
                restarted = False  # if something was missed, `es_notice` is told
            for call in self._subscribing(subjects, patterns):
                self._request(calls, connection, call)
        except (EventServiceError, Stopped):
            raise
        except Exception as error:
            raise Refused(f"{welcome.uri} refused the subscriber: {error}") from error
        dismissed, self._sent_away = self._sent_away, False
        self._incarnation = welcome.incarnation
        if self._dismissed:
            self.link.wake()  # that it came was lost in our calls
        if not (restarted or dismissed) or before is None or not (subjects or patterns):
            return []
        reason = "restarted" if restarted else "full"
        return [Notice("gap", {"kind": "gap", "missed": None, "reason": reason})]

    def _pushed(self, frame: Frame) -> None:
        raise EventServiceError(f"the event service sent a frame of type {frame.type}")

    def _subscribing(self, subjects: Sequence[str], patterns: Sequence[str]) -> list[Call]:
        with self._lock:
            self._asked.update(subjects, patterns)
        calls: list[Call] = []
        if subjects:
            calls.append(("subscribe", [list(subjects), self._uri], self._options))
        if patterns:
            calls.append(("subscribeMatch", [list(patterns), self._uri], self._options))
        return calls

    def _goodbye(self) -> list[Call]:
        with self._lock:
            asked = list(self._asked)
        return [self._unsubscribing(asked)] if asked else []

    def _remembers(self, incarnation: str | None) -> Call:
        return "remembers", [self._uri, incarnation], {}

    def _unsubscribing(self, texts: Sequence[str]) -> Call:
        return "unsubscribe", [list(texts), self._uri], {}


class _Room:
    """Where events wait to be handled; whoever brings more than `limit` has to wait, too.

    Those that come while none of them is looked at make one parcel.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._parcel: _CallbackDelivery | None = None
        self._closed = False
        self._lock = threading.RLock()  # collecting garbage may call `close`
        self._changed = threading.Condition(self._lock)

    def enter(self, event: Event) -> _CallbackDelivery | None:
        """Take an event when there is room; gives its parcel if that is a new one."""
        with self._lock:
            while self._free <= 0 and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed("the subscriber was closed")
            self._free -= 1
            if self._parcel is not None:
                self._parcel.events.append(event)
                return None
            self._parcel = _CallbackDelivery(self, event)
            return self._parcel

    def seal(self) -> None:
        """Let what comes next make a parcel of its own."""
        with self._lock:
            self._parcel = None

    def leave(self, count: int) -> None:
        """Make room for so many."""
        with self._changed:
            self._free += count
            self._changed.notify(count)

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@Pyro5.server.expose
class CallbackTarget:
    """The object that the event service calls, in the daemon's threads."""

    def __init__(self, callback: Callback, inbox: Inbox, room: _Room) -> None:
        self._callback = callback
        self._inbox = inbox
        self._room = room

    def event(self, event: Event) -> None:
        """Take an event; returns when there is room for it, long before it is handled."""
        parcel = self._room.enter(event)
        if parcel is not None:
            self._inbox.put(parcel)

    def es_notice(self, notice: dict[str, Any]) -> None:
        """Take a notice, which belongs after the events so far."""
        self._room.seal()
        self._callback.noticed(notice)


class _CallbackDelivery:
    __slots__ = ("_handled", "_room", "events")

    def __init__(self, room: _Room, event: Event) -> None:
        self.events = [event]
        self._room = room
        self._handled = 0

    def open(self) -> Sequence[Event]:
        self._room.seal()
        return self.events

    def handled(self, count: int) -> None:
        self._room.leave(count - self._handled)
        self._handled = count
