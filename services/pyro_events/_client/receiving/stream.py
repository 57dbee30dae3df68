"""Events over the subscriber's own connection: through any NAT, and resumed after a break."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from pyro_events._client.condition import TimedOut
from pyro_events._client.connection import Abandoned, ConnectionLost
from pyro_events._client.receiving.inbox import Notice
from pyro_events._client.receiving.late import DELAY, LateAcknowledgements
from pyro_events._client.receiving.pushes import (
    MailboxView,
    gap_on_attach,
    parse_push,
    unpack_events,
)
from pyro_events._client.receiving.subscription import Subscription
from pyro_events._client.waker import Stopped
from pyro_events.errors import EventServiceError, Refused
from pyro_wire import framing

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from pyro_events._client.calls import Calls
    from pyro_events._client.connection import Connection
    from pyro_events._client.introduction import Welcome
    from pyro_events._client.names import Service
    from pyro_events._client.receiving.inbox import Inbox
    from pyro_events._client.receiving.subscription import Call
    from pyro_events._client.waker import Waker
    from pyro_events._protocol.event import Event, Undecodable

SILENCE = 25.0
"""Seconds without a byte after which the connection counts as broken; pings come every 10."""


class Stream(Subscription):
    """Keeps one subscriber attached, and its events coming into the inbox."""

    def __init__(
        self, service: Service, ident: str | None, inbox: Inbox, options: dict[str, Any]
    ) -> None:
        super().__init__(service, ident, inbox, SILENCE)
        self._id = uuid4().hex
        self._options = options
        self._mailbox: MailboxView | None = None
        self._later = LateAcknowledgements()

    def read(self, waker: Waker) -> bool:
        """Read one frame from the connection; False when there is none or it has broken."""
        connection = self._connection
        if connection is None:
            return False
        try:
            connection.request_read()
            with connection.read_lock:
                connection.read_requested = False
                try:
                    self._read(connection, waker)
                except (TimedOut, EventServiceError):
                    raise
                except BaseException:
                    if not connection.idle:  # before another thread reads on
                        connection.fail(Abandoned("a thread was interrupted while reading"))
                    raise
        except TimedOut:
            self.link.wake()
            return False
        except EventServiceError as error:
            connection.fail(error)
            return False
        finally:
            connection.read_requested = False
            if self._calls is not None and self._calls.pending:
                connection.ensure_reader()  # handling events may take long
        return True

    def _read(self, connection: Connection, waker: Waker) -> None:
        """Wait for a frame and process it; returns as well when woken, by the inbox for example."""
        self.inbox.on_put = waker.wake
        try:
            if self.inbox.items:
                return
            wait = waker.wait
            if self._later.owed is not None:
                wait = partial(self._wait_and_acknowledge, waker)
            frame = connection.listen(SILENCE, wait)
        finally:
            self.inbox.on_put = None
        if frame is not None:
            self.received(frame)

    def _wait_and_acknowledge(
        self, waker: Waker, sock: socket.socket, seconds: float | None, mask: int
    ) -> tuple[bool, bool]:
        """Wait as the waker, and acknowledge what is owed if nothing comes soon."""
        if self._later.owed is not None:
            short = DELAY if seconds is None else min(seconds, DELAY)
            found = waker.wait(sock, short, mask)
            if found != (False, False):
                return found
            self.acknowledge_owed()
        return waker.wait(sock, seconds, mask)

    def acknowledge(self, mailbox: MailboxView, number: int, began: float = 0.0) -> None:
        """Acknowledge an event and all before it, at once or soon; see LateAcknowledgements."""
        if self._later.add(mailbox, number, began, time.monotonic()):
            self.acknowledge_owed()

    def acknowledge_later(self, later: bool) -> None:
        """Set whether some acknowledgements may wait: for a thread that calls `read` again soon."""
        self._later.enabled = later
        if not later:
            self.acknowledge_owed()

    def acknowledge_owed(self) -> None:
        """Acknowledge what was handled, unless that was done."""
        if (owed := self._later.owed) is not None:
            self._acknowledge(*owed)
            self._later.settle()  # if this is not reached, it is acknowledged again

    def _acknowledge(self, mailbox: MailboxView, number: int) -> None:
        """Acknowledge an event and all before it, unless they belong to an earlier mailbox."""
        connection = self._connection
        if connection is not None and mailbox is self._mailbox:
            data = number.to_bytes(8, "big")
            with contextlib.suppress(ConnectionLost):
                connection.write(framing.encode_frame(framing.RESULT, framing.MSGPACK, 0, 0, data))

    def _attach(self, calls: Calls, connection: Connection, welcome: Welcome) -> list[Notice]:
        before = self._mailbox
        with self._lock:
            subjects, patterns = self.subscriptions.subjects, self.subscriptions.patterns
        options = dict(self._options)
        if before is not None:
            options |= {"last": before.last, "last_incarnation": before.incarnation}

        def attach() -> dict[str, Any]:
            call: Call = ("attach", [self._id, subjects, patterns, options], {})
            return cast("dict[str, Any]", self._request(calls, connection, call))

        try:
            try:
                answer = attach()
            except PermissionError:  # we come from another address: another client, as it seems
                self._id = uuid4().hex
                answer = attach()
            last, subscribed = answer["next"] - 1, bool(subjects or patterns)
            gap = gap_on_attach(
                before, answer, subscribed=subscribed, dismissed=self._take_dismissal()
            )
            if before is not None and answer["resumed"]:
                before.resume(answer["incarnation"], last)
            else:
                self._mailbox = MailboxView(answer["incarnation"], last)
            self._later.start(last, answer.get("ack", 1))
        except (EventServiceError, Stopped):
            raise
        except Exception as error:
            raise Refused(f"{welcome.uri} refused the subscriber: {error}") from error
        return [Notice("gap", {"kind": "gap", **gap})] if gap else []

    def _on_push(self, frame: framing.Frame) -> None:
        mailbox = self._mailbox
        if frame.type != framing.INVOKE or mailbox is None:
            raise ConnectionLost(f"the event service sent a frame of type {frame.type}")
        try:
            push = parse_push(frame.data)
        except ValueError as error:
            raise ConnectionLost(f"the event service sent an invalid push: {error}") from None
        if isinstance(push, dict):
            if push.get("kind") == "complete":
                mailbox.complete = push.get("last") == mailbox.last
            self.on_notice(push)
            return
        first, count = push
        known, missing = mailbox.compare(first, count)
        if missing:
            self.on_notice({"kind": "gap", "missed": missing, "reason": "lost"})
        if known < count:
            delivery = _StreamDelivery(self, mailbox, frame.data, first, known)
            last = first + count - 1
            # These two lines happen together, since Python looks for signals after a call.
            mailbox.last = last
            self.inbox.items.append(delivery)
            self.inbox.notify()

    def _subscribing(self, subjects: Sequence[str], patterns: Sequence[str]) -> list[Call]:
        once = bool(self._options.get("once"))
        return [("stream_subscribe", [list(subjects), list(patterns), once], {})]

    def _final_calls(self) -> list[Call]:
        return [("detach", [], {})]

    def _unsubscribing(self, texts: Sequence[str]) -> Call:
        return "stream_unsubscribe", [list(texts)], {}


class _StreamDelivery:
    """One pushed frame, opened where it is handled; the first `known` events arrived before."""

    __slots__ = ("_began", "_data", "_first", "_known", "_mailbox", "_stream")

    def __init__(
        self, stream: Stream, mailbox: MailboxView, data: bytes, first: int, known: int
    ) -> None:
        self._stream = stream
        self._mailbox = mailbox
        self._data = data
        self._first = first
        self._known = known
        self._began = 0.0

    def open(self) -> Sequence[Event | Undecodable]:
        self._began = time.monotonic()
        return unpack_events(self._data, self._known)

    def handled(self, count: int) -> None:
        if count:
            number = self._first + self._known + count - 1
            self._stream.acknowledge(self._mailbox, number, self._began)
