"""A subscriber's standing with the event service: what it wants, kept true across reconnects."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from pyro_events._client.calls import Calls
from pyro_events._client.condition import InterruptSafeCondition, TimedOut
from pyro_events._client.connection import ConnectionLost
from pyro_events._client.receiving.inbox import Failure, Notice
from pyro_events._client.receiving.subscription_set import SubscriptionSet
from pyro_events._client.reconnecting_connection import CONNECT_TIMEOUT, ReconnectingConnection
from pyro_events.errors import Closed, Refused, Unreachable
from pyro_wire.framing import RESULT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._client.connection import Connection
    from pyro_events._client.receiving.inbox import Inbox
    from pyro_events._client.reconnecting_connection import Welcome
    from pyro_events._client.waker import Waker
    from pyro_wire.framing import Frame


_GOODBYE = 1.0
"""Seconds that the event service has to take note that we go."""

Call = tuple[str, list[Any], dict[str, Any]]
"""A remote call: method, arguments, keyword arguments."""


class Subscription:
    """The owner of a subscriber's link. Subclasses know how events come.

    Public methods may be called from any thread; the link calls its owner's in its own.
    """

    def __init__(
        self, es: str | None, ident: str | None, inbox: Inbox, silence: float | None
    ) -> None:
        self.inbox = inbox
        self.link = ReconnectingConnection(es, "subscriber", ident, self, silence=silence)
        self.wanted = SubscriptionSet()
        self.links = 0
        self._lock = threading.RLock()  # collecting garbage may call `close`
        self._changed = InterruptSafeCondition(self._lock)
        self._connection: Connection | None = None
        self._calls: Calls | None = None
        self._welcome: Welcome | None = None
        self._farewell: str | None = None
        self._dismissed = False
        self._failure: Exception | None = None
        self.refusal: Refused | None = None
        self._closed = False

    # -- how subclasses differ

    def _attach(self, calls: Calls, connection: Connection, welcome: Welcome) -> list[Notice]:
        """Make the new connection the one that events come over; give what there is to tell."""
        raise NotImplementedError

    def _pushed(self, frame: Frame) -> None:
        """Take a frame that is no answer."""
        raise NotImplementedError

    def _subscribing(self, subjects: Sequence[str], patterns: Sequence[str]) -> list[Call]:
        """Give the remote calls that subscribe."""
        raise NotImplementedError

    def _goodbye(self) -> list[Call]:
        """Give the remote calls that end everything."""
        raise NotImplementedError

    def _unsubscribing(self, texts: Sequence[str]) -> Call:
        """Give the remote call that unsubscribes."""
        raise NotImplementedError

    # -- for the subscriber, in any thread

    def subscribe(self, subjects: Sequence[str], patterns: Sequence[str], timeout: float) -> None:
        """Have the subscription at the event service when this returns.

        Raises what the event service has against it, or Unreachable; then nothing has changed.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            added = self.wanted.add(subjects, patterns)
        try:
            for call in self._subscribing(subjects, patterns):
                self._call(*call, deadline=deadline)
        except BaseException:
            with self._lock:
                self.wanted.take_back(*added)
            raise

    def unsubscribe(self, texts: Sequence[str], timeout: float) -> None:
        """Have the subscriptions gone at the event service when this returns."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self.wanted.remove(texts)
        self._call(*self._unsubscribing(texts), deadline=deadline)

    def start(self) -> None:
        """Connect, unless that is going on already."""
        with self._lock:
            if self._closed:
                raise Closed("the subscriber was closed")
            self.refusal = None
        self.link.start()

    def read(self, waker: Waker) -> bool:  # noqa: ARG002 - subclasses use it
        """Take something into the inbox in this thread, or return when the waker says so.

        False, at once, if events come by themselves or can't come now: wait for the inbox.
        """
        return False

    def close(self, *, wait: bool = True) -> None:
        """End the subscriptions and disconnect. Without `wait` it returns at once."""
        self._closed = True
        try:
            with self._lock:
                self._changed.tell()
        finally:
            self.link.stop(wait=wait)

    # -- for the link, in its thread

    def linked(self, connection: Connection, welcome: Welcome) -> None:
        """Be what we were before: the same subscriptions, and events from where they stopped."""
        calls = Calls()
        notices = self._attach(calls, connection, welcome)
        uri = {"uri": welcome.uri, "incarnation": welcome.incarnation}
        with self._lock:
            self.links += 1
            self._connection, self._calls, self._welcome = connection, calls, welcome
            self._failure = self._farewell = None
            self._changed.tell()
        self.inbox.put(Notice("connected", {"kind": "connected", **uri, "reason": None}))
        for notice in notices:
            self.inbox.put(Notice(notice.hook, {**notice.values, **uri}))

    def received(self, frame: Frame) -> None:
        """Hand an answer to its caller, and everything else to the subclass."""
        if frame.type == RESULT:
            if self._calls is not None:
                self._calls.finish(frame)
        else:
            self._pushed(frame)

    def woken(self) -> None:
        """Do nothing: calls are sent by who makes them."""

    def unlinked(self, error: Exception) -> None:
        """Fail the calls in progress, which try again, and tell the subscriber."""
        with self._lock:
            calls, welcome = self._calls, self._welcome
            self._connection = self._calls = self._welcome = None
            self._failure = error
            reason = self._farewell or str(error)
        if calls is not None:
            calls.fail(ConnectionLost(str(error)))
        if welcome is not None:
            values = {"uri": welcome.uri, "incarnation": welcome.incarnation, "reason": reason}
            self.inbox.put(Notice("disconnected", {"kind": "disconnected", **values}))

    def leaving(self, connection: Connection) -> None:
        """Let the event service forget us at once, whatever state we are in."""
        calls = Calls()
        frames = [calls.start(*call)[0] for call in self._goodbye()]
        connection.finish(b"".join(frames), _GOODBYE)

    def refused(self, error: Refused) -> None:
        """Tell whoever waits; the next call begins anew."""
        with self._lock:
            self.refusal = error
            self._changed.tell()
        self.inbox.put(Failure(error))

    # -- for subclasses

    def noticed(self, notice: dict[str, Any]) -> None:
        """Take what the event service says about itself or about us."""
        kind = notice.get("kind")
        if kind == "stopping":
            self._farewell = f"stopping: {notice.get('reason')}"
        elif kind == "disconnected":
            self._farewell = str(notice.get("reason"))
            self._dismissed = True
        elif kind == "pattern":
            self._tell_gap({"missed": None, **notice, "reason": "pattern"})
        elif kind == "gap":
            self._tell_gap(notice)

    def _take_dismissal(self) -> bool:
        """Say, once, whether the event service sent us away because the queue was full."""
        dismissed, self._dismissed = self._dismissed, False
        return dismissed

    def _tell_gap(self, notice: dict[str, Any]) -> None:
        welcome = self._welcome
        place = {"uri": welcome.uri, "incarnation": welcome.incarnation} if welcome else {}
        self.inbox.put(Notice("gap", {**place, **notice, "kind": "gap"}))

    def _request(self, calls: Calls, connection: Connection, call: Call) -> Any:
        """Call while the link's thread is ours, and give the answer; raises what it says."""
        deadline = time.monotonic() + CONNECT_TIMEOUT
        frame, answer = calls.start(*call)
        connection.write(frame)
        while not answer.done:
            try:
                frame_in = connection.next_frame(deadline)
            except TimedOut:
                raise ConnectionLost(f"{call[0]} was not answered") from None
            if frame_in.type == RESULT:
                calls.finish(frame_in)
            else:
                self._pushed(frame_in)
        return answer.result()

    def _call(
        self, method: str, params: list[Any], options: dict[str, Any], *, deadline: float
    ) -> Any:
        """Call until it is answered, over as many connections as that takes."""
        self.start()
        while True:
            connection, calls = self._wait_for_connection(deadline)
            with contextlib.suppress(ConnectionLost):
                frame, answer = calls.start(method, params, options)
                try:
                    connection.write(frame)
                    connection.attend()
                    return answer.result(max(0.0, deadline - time.monotonic()))
                except TimedOut:
                    raise Unreachable(f"the event service did not answer {method}") from None
                finally:
                    calls.forget(answer)

    def _wait_for_connection(self, deadline: float) -> tuple[Connection, Calls]:
        def look() -> tuple[Connection, Calls] | None:
            if self._connection is not None and self._calls is not None:
                return self._connection, self._calls
            if self._closed:
                raise Closed("the subscriber was closed")
            if self.refusal is not None:
                raise self.refusal
            return None

        found = self._changed.wait(look, deadline)
        if found is None:
            raise Unreachable(f"no event service: {self._failure or 'still connecting'}")
        return found
