"""Events over the subscriber's own connection: through any NAT, and resumed after a break."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pyro_events._client.condition import TimedOut
from pyro_events._client.connection import Abandoned, ConnectionLost
from pyro_events._client.receiving.inbox import Notice, open_frame
from pyro_events._client.receiving.pushes import MailboxView, gap_on_attach, parse_push
from pyro_events._client.receiving.subscription import Subscription
from pyro_events._client.waker import Stopped
from pyro_events.errors import EventServiceError, Refused
from pyro_wire import framing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._client.calls import Calls
    from pyro_events._client.connection import Connection
    from pyro_events._client.receiving.inbox import Inbox, Undecodable
    from pyro_events._client.receiving.subscription import Call
    from pyro_events._client.reconnecting_connection import Welcome
    from pyro_events._client.waker import Waker
    from pyro_events._protocol.event import Event

SILENCE = 25.0
"""Seconds without a byte after which the event service is given up; it pings every 10."""


class Stream(Subscription):
    """Keeps one subscriber attached, and its events coming into the inbox."""

    def __init__(
        self, es: str | None, ident: str | None, inbox: Inbox, options: dict[str, Any]
    ) -> None:
        super().__init__(es, ident, inbox, SILENCE)
        self._id = uuid4().hex
        self._options = {key: value for key, value in options.items() if value is not None}
        self._mailbox: MailboxView | None = None

    def read(self, waker: Waker) -> bool:
        """Take one frame from the connection; False when it is of no use any more."""
        connection = self._connection
        if connection is None:
            return False
        try:
            connection.ask()
            with connection.holding:
                connection.wanted = False
                try:
                    self._read(connection, waker)
                except (TimedOut, EventServiceError):
                    raise
                except BaseException:
                    if not connection.idle:  # before anybody else reads on
                        connection.fail(Abandoned("a thread was interrupted while reading"))
                    raise
        except TimedOut:
            self.link.wake()
            return False
        except EventServiceError as error:
            connection.fail(error)
            return False
        finally:
            connection.wanted = False
            if self._calls is not None and self._calls.pending:
                connection.attend()  # handling events may take long
        return True

    def _read(self, connection: Connection, waker: Waker) -> None:
        frame = self._receive(connection, waker)
        if frame is not None:
            self.received(frame)

    def _receive(self, connection: Connection, waker: Waker) -> framing.Frame | None:
        """Wait for a frame; None when it is time to look around, as for the inbox."""
        self.inbox.on_put = waker.wake
        try:
            if not self.inbox.empty():
                return None
            return connection.listen(SILENCE, waker.wait)
        finally:
            self.inbox.on_put = None

    def acknowledge(self, mailbox: MailboxView, number: int) -> None:
        """Acknowledge an event and all before it, unless they belong to another life."""
        connection = self._connection
        if connection is not None and mailbox is self._mailbox:
            data = number.to_bytes(8, "big")
            with contextlib.suppress(ConnectionLost):
                connection.write(framing.encode_frame(framing.RESULT, framing.MSGPACK, 0, 0, data))

    def _attach(self, calls: Calls, connection: Connection, welcome: Welcome) -> list[Notice]:
        before = self._mailbox
        with self._lock:
            subjects, patterns = self.wanted.subjects, self.wanted.patterns
        options = dict(self._options)
        if before is not None:
            options |= {"last": before.last, "last_incarnation": before.incarnation}
        call: Call = ("attach", [self._id, subjects, patterns, options], {})
        try:
            answer = self._request(calls, connection, call)
            last = answer["next"] - 1
            gap = gap_on_attach(
                before, answer, wanted=bool(subjects or patterns), dismissed=self._take_dismissal()
            )
            if before is not None and answer["resumed"]:
                before.go_on(answer["incarnation"], last)
            else:
                self._mailbox = MailboxView(answer["incarnation"], last)
        except (EventServiceError, Stopped):
            raise
        except Exception as error:
            raise Refused(f"{welcome.uri} refused the subscriber: {error}") from error
        return [Notice("gap", {"kind": "gap", **gap})] if gap else []

    def _pushed(self, frame: framing.Frame) -> None:
        mailbox = self._mailbox
        if frame.type != framing.INVOKE or mailbox is None:
            raise ConnectionLost(f"the event service sent a frame of type {frame.type}")
        try:
            push = parse_push(frame.data)
        except ValueError as error:
            raise ConnectionLost(f"the event service sent nonsense: {error}") from None
        if isinstance(push, dict):
            if push.get("kind") == "complete":
                mailbox.complete = push.get("last") == mailbox.last
            self.noticed(push)
            return
        first, count = push
        again, missing = mailbox.compare(first, count)
        if missing:
            self.noticed({"kind": "gap", "missed": missing, "reason": "lost"})
        if again < count:
            parcel, last = (
                _StreamDelivery(self, mailbox, frame.data, first, again),
                first + count - 1,
            )
            # These two lines happen together, since Python looks for signals after a call.
            mailbox.last = last
            self.inbox.items.append(parcel)
            self.inbox.tell()

    def _subscribing(self, subjects: Sequence[str], patterns: Sequence[str]) -> list[Call]:
        once = bool(self._options.get("once"))
        return [("stream_subscribe", [list(subjects), list(patterns), once], {})]

    def _goodbye(self) -> list[Call]:
        return [("detach", [], {})]

    def _unsubscribing(self, texts: Sequence[str]) -> Call:
        return "stream_unsubscribe", [list(texts)], {}


class _StreamDelivery:
    """One pushed frame, opened where it is handled."""

    __slots__ = ("_again", "_data", "_first", "_mailbox", "_stream")

    def __init__(
        self, stream: Stream, mailbox: MailboxView, data: bytes, first: int, again: int
    ) -> None:
        self._stream = stream
        self._mailbox = mailbox
        self._data = data
        self._first = first
        self._again = again

    def open(self) -> Sequence[Event | Undecodable]:
        return open_frame(self._data, self._again)

    def handled(self, count: int) -> None:
        if count:
            self._stream.acknowledge(self._mailbox, self._first + self._again + count - 1)
