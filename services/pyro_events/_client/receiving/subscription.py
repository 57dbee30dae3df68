"""A subscriber's subscriptions, kept at the event service across reconnects."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from pyro_events._client.calls import Calls
from pyro_events._client.condition import InterruptSafeCondition, TimedOut
from pyro_events._client.connection import ConnectionLost
from pyro_events._client.process import check_threads
from pyro_events._client.receiving.inbox import Failure, Notice
from pyro_events._client.reconnecting_connection import CONNECT_TIMEOUT, ReconnectingConnection
from pyro_events._protocol.subjects import check_patterns, check_subjects, check_texts
from pyro_events.errors import Closed, Refused, Unreachable
from pyro_wire.framing import RESULT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyro_events._client.connection import Connection
    from pyro_events._client.introduction import Welcome
    from pyro_events._client.names import Service
    from pyro_events._client.receiving.inbox import Inbox
    from pyro_events._client.waker import Waker
    from pyro_wire.framing import Frame

TIMEOUT = 10.0
"""Seconds that a change of subscriptions may take, reconnecting included."""
_CLOSE_TIMEOUT = 1.0
"""Seconds that the event service has to read the last calls."""

Call = tuple[str, list[Any], dict[str, Any]]
"""A remote call: method, arguments, keyword arguments."""


class SubscriptionSet:
    """Subjects, compared without case, and patterns, compared exactly, in order. Pure."""

    def __init__(self) -> None:
        self._subjects: dict[str, str] = {}
        self._patterns: dict[str, str] = {}

    @property
    def subjects(self) -> list[str]:
        """The subjects as they were written first."""
        return list(self._subjects.values())

    @property
    def patterns(self) -> list[str]:
        """The texts of the patterns."""
        return list(self._patterns.values())

    def add(self, subjects: Iterable[str], patterns: Iterable[str]) -> tuple[list[str], list[str]]:
        """Add subscriptions; return those that are new."""
        new_subjects = [s for s in dict.fromkeys(subjects) if s.lower() not in self._subjects]
        new_patterns = [p for p in dict.fromkeys(patterns) if p not in self._patterns]
        for subject in new_subjects:
            self._subjects.setdefault(subject.lower(), subject)
        self._patterns.update(zip(new_patterns, new_patterns, strict=True))
        return new_subjects, new_patterns

    def discard(self, subjects: Iterable[str], patterns: Iterable[str]) -> None:
        """Remove these subjects and these patterns, as `add` returned them."""
        for subject in subjects:
            self._subjects.pop(subject.lower(), None)
        for pattern in patterns:
            self._patterns.pop(pattern, None)


class Subscription:
    """The owner of a subscriber's link. Subclasses know how events arrive.

    Any thread may call the public methods; the link calls its owner's methods in its own thread.
    """

    def __init__(
        self, service: Service, ident: str | None, inbox: Inbox, silence: float | None
    ) -> None:
        self.inbox = inbox
        self.link = ReconnectingConnection(service, "subscriber", ident, self, silence=silence)
        self.subscriptions = SubscriptionSet()
        self.connections_made = 0
        self._lock = threading.RLock()  # collecting garbage may call `close`
        self._changed = InterruptSafeCondition(self._lock)
        self._connection: Connection | None = None
        self._calls: Calls | None = None
        self._welcome: Welcome | None = None
        self._stop_reason: str | None = None
        self._dismissed = False
        self._failure: Exception | None = None
        self.refusal: Refused | None = None
        self._closed = False

    # -- how subclasses differ

    def _attach(self, calls: Calls, connection: Connection, welcome: Welcome) -> list[Notice]:
        """Receive events over the new connection; return the notices that follow from it."""
        raise NotImplementedError

    def _on_push(self, frame: Frame) -> None:
        """Process a frame that is not an answer."""
        raise NotImplementedError

    def _subscribing(self, subjects: Sequence[str], patterns: Sequence[str]) -> list[Call]:
        """Return the remote calls that subscribe."""
        raise NotImplementedError

    def _final_calls(self) -> list[Call]:
        """Return the remote calls that end all subscriptions."""
        raise NotImplementedError

    def _unsubscribing(self, texts: Sequence[str]) -> Call:
        """Return the remote call that unsubscribes."""
        raise NotImplementedError

    # -- for the subscriber, in any thread

    def subscribe(self, subjects: object) -> None:
        """Subscribe to these subjects; returns when the event service has confirmed.

        Raises ValueError or TypeError for a bad subject, the event service's own error, or
        Unreachable, Refused or Closed; then nothing has changed.
        """
        self._subscribe(check_subjects(subjects), ())

    def subscribe_match(self, patterns: object) -> None:
        """Subscribe to these patterns; as `subscribe`."""
        self._subscribe((), [pattern.text for pattern in check_patterns(patterns)])

    def unsubscribe(self, texts: object) -> Sequence[str]:
        """Unsubscribe from the subjects and the patterns of these texts, and return these.

        Returns when the event service has confirmed; raises as `subscribe`.
        """
        check_threads()
        checked = check_texts(texts)
        deadline = time.monotonic() + TIMEOUT
        with self._lock:
            self.subscriptions.discard(checked, checked)
        self._call(*self._unsubscribing(checked), deadline=deadline)
        return checked

    def _subscribe(self, subjects: Sequence[str], patterns: Sequence[str]) -> None:
        check_threads()
        deadline = time.monotonic() + TIMEOUT
        with self._lock:
            added = self.subscriptions.add(subjects, patterns)
        try:
            for call in self._subscribing(subjects, patterns):
                self._call(*call, deadline=deadline)
        except BaseException:
            with self._lock:
                self.subscriptions.discard(*added)
            raise

    def start(self) -> None:
        """Connect, unless that has begun already."""
        check_threads()
        with self._lock:
            if self._closed:
                raise Closed("the subscriber was closed")
            self.refusal = None
        self.link.start()

    def read(self, waker: Waker) -> bool:  # noqa: ARG002 - subclasses use it
        """Read something into the inbox in this thread, or return when the waker wakes it.

        False, at once, if events arrive in another thread or can't arrive now: then the caller
        waits for the inbox.
        """
        return False

    def acknowledge_later(self, later: bool) -> None:
        """Set whether some acknowledgements may wait: for a thread that calls `read` again soon."""

    def close(self, *, wait: bool = True) -> None:
        """End the subscriptions and disconnect. Without `wait` it returns at once."""
        self._closed = True
        try:
            with self._lock:
                self._changed.notify_all()
        finally:
            self.link.stop(wait=wait)

    # -- for the link, in its thread

    def connected(self, connection: Connection, welcome: Welcome) -> None:
        """Subscribe again to everything, and continue with the events where they stopped."""
        calls = Calls()
        notices = self._attach(calls, connection, welcome)
        uri = {"uri": welcome.uri, "incarnation": welcome.incarnation}
        with self._lock:
            self.connections_made += 1
            self._connection, self._calls, self._welcome = connection, calls, welcome
            self._failure = self._stop_reason = None
            self._changed.notify_all()
        self.inbox.put(Notice("connected", {"kind": "connected", **uri, "reason": None}))
        for notice in notices:
            self.inbox.put(Notice(notice.hook, {**notice.values, **uri}))

    def received(self, frame: Frame) -> None:
        """Pass an answer to its caller, and everything else to the subclass."""
        if frame.type == RESULT:
            if self._calls is not None:
                self._calls.finish(frame)
        else:
            self._on_push(frame)

    def woken(self) -> None:
        """Do nothing: the calling threads send their calls themselves."""

    def disconnected(self, error: Exception) -> None:
        """Fail the calls in progress, which try again, and notify the subscriber."""
        with self._lock:
            calls, welcome = self._calls, self._welcome
            self._connection = self._calls = self._welcome = None
            self._failure = error
            reason = self._stop_reason or str(error)
        if calls is not None:
            calls.fail(ConnectionLost(str(error)))
        if welcome is not None:
            values = {"uri": welcome.uri, "incarnation": welcome.incarnation, "reason": reason}
            self.inbox.put(Notice("disconnected", {"kind": "disconnected", **values}))

    def closing(self, connection: Connection) -> None:
        """Make the event service forget the subscriber at once, whatever state this one is in."""
        calls = Calls()
        frames = [calls.start(*call)[0] for call in self._final_calls()]
        connection.finish(b"".join(frames), _CLOSE_TIMEOUT)

    def refused(self, error: Refused) -> None:
        """Raise the error in waiting threads; the next call starts the link again."""
        with self._lock:
            self.refusal = error
            self._changed.notify_all()
        self.inbox.put(Failure(error))

    # -- for subclasses

    def on_notice(self, notice: dict[str, Any]) -> None:
        """Process a notice of the event service."""
        kind = notice.get("kind")
        if kind == "stopping":
            self._stop_reason = f"stopping: {notice.get('reason')}"
        elif kind == "disconnected":
            self._stop_reason = str(notice.get("reason"))
            self._dismissed = notice.get("reason") == "full"
        elif kind == "pattern":
            self._put_gap({"missed": None, **notice, "reason": "pattern"})
        elif kind == "rule":
            self._put_gap({"missed": None, **notice, "reason": "rule"})
        elif kind == "gap":
            self._put_gap(notice)

    def _take_dismissal(self) -> bool:
        """Return, once, whether the event service dismissed us because the queue was full."""
        dismissed, self._dismissed = self._dismissed, False
        return dismissed

    def _put_gap(self, notice: dict[str, Any]) -> None:
        welcome = self._welcome
        place = {"uri": welcome.uri, "incarnation": welcome.incarnation} if welcome else {}
        self.inbox.put(Notice("gap", {**place, **notice, "kind": "gap"}))

    def _request(self, calls: Calls, connection: Connection, call: Call) -> Any:
        """Call in the link's thread, and return the answer or raise its error."""
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
                self._on_push(frame_in)
        return answer.result()

    def _call(
        self, method: str, params: list[Any], options: dict[str, Any], *, deadline: float
    ) -> Any:
        """Call until there is an answer, over as many connections as that takes."""
        self.start()
        while True:
            connection, calls = self._wait_for_connection(deadline)
            with contextlib.suppress(ConnectionLost):
                frame, answer = calls.start(method, params, options)
                try:
                    connection.write(frame)
                    connection.ensure_reader()
                    return answer.result(max(0.0, deadline - time.monotonic()))
                except TimedOut:
                    raise Unreachable(f"the event service did not answer {method}") from None
                finally:
                    calls.forget(answer)

    def _wait_for_connection(self, deadline: float) -> tuple[Connection, Calls]:
        def find() -> tuple[Connection, Calls] | None:
            if self._connection is not None and self._calls is not None:
                return self._connection, self._calls
            if self._closed:
                raise Closed("the subscriber was closed")
            if self.refusal is not None:
                raise self.refusal
            return None

        found = self._changed.wait_for(find, deadline)
        if found is None:
            raise Unreachable(f"no event service: {self._failure or 'still connecting'}")
        return found
