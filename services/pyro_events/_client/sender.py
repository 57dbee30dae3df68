"""Sends an outbox over a link: in order, in batches, pipelined, and again after a break.

A signal handler may raise anywhere in a calling thread. Steps that belong together are then either
complete or repeated: a thread that is interrupted between them abandons the connection, and over
the next one everything that wasn't acknowledged is sent again.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from contextlib import nullcontext
from typing import TYPE_CHECKING
from uuid import uuid4

from pyro_events._client.calls import encode_call
from pyro_events._client.condition import InterruptSafeCondition, TimedOut
from pyro_events._client.connection import Abandoned, ConnectionLost
from pyro_events._client.outbox import SMALL
from pyro_events._client.process import check_threads
from pyro_events._client.publish_call import METHOD, PublishCalls
from pyro_events._client.reconnecting_connection import ReconnectingConnection
from pyro_events._client.rejections import Rejections, events, not_taken
from pyro_events._protocol.capabilities import RUNS
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events._protocol.runs import with_runs
from pyro_events.errors import Closed, EventServiceError, Unreachable
from pyro_wire.framing import RESULT

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._client.connection import Connection
    from pyro_events._client.introduction import Welcome
    from pyro_events._client.names import Service
    from pyro_events._client.outbox import Entry, Outbox
    from pyro_events.errors import Refused
    from pyro_events.types import PublisherStatistics
    from pyro_wire.framing import Frame

_log = logging.getLogger("pyro_events")


class Sender:
    """The owner of a publisher's link, which calls it in its thread. Any thread may call it."""

    def __init__(
        self, service: Service, ident: str | None, outbox: Outbox, patience: float | None
    ) -> None:
        self._outbox = outbox
        wishes = {"patience": patience}
        self.link = ReconnectingConnection(
            service, "publisher", ident, self, wishes=wishes, local=self._waits_for_answers
        )
        self._id = uuid4().hex
        self._lock = threading.RLock()  # collecting garbage may call `close`
        self._changed = InterruptSafeCondition(self._lock)
        self._inserted: deque[Entry] = deque()  # posted while their thread held the lock
        self._connection: Connection | None = None
        self._calls: dict[int, int] = {}
        self._seq = self._connections_made = 0
        self._interrupted = self._closed = self._reading = False
        self._failure: Exception | None = None
        self._refusal: Refused | None = None
        self._rejections = Rejections()
        self._counts = dict.fromkeys(("published", "failed", "retries"), 0)
        self._runs = False
        self._publish_calls = PublishCalls(self._id)

    # -- for the publisher, in any thread

    def publish(self, entry: Entry, timeout: float) -> None:
        """Send the event and wait until the event service has it.

        Raises the event service's own error if it refuses the event, Unreachable after `timeout`
        seconds, Refused and Closed.
        """
        check_threads()
        deadline, number, error = time.monotonic() + timeout, 0, None
        if self._amid_a_call():
            raise RuntimeError("amid another call, handlers and finalizers have to use post()")
        try:
            while True:
                with self._lock:
                    if not self._closed and self._outbox.has_room():
                        alone = not self._outbox.in_flight
                        number = self._outbox.add(entry)
                        self._rejections.awaited[number] = None
                        self._counts["published"] += 1
                        if not alone:
                            self._pump()
                        break
                self._wait_for_room(deadline, timeout)
            if alone:
                self._send_and_read(number, deadline)
            if not self._outbox.settled(number):
                self._wait_until_settled(number, deadline, timeout)
        except EventServiceError:
            raise
        except BaseException:
            with self._lock:
                self._outbox.withdraw(number)
            self.link.wake()
            raise
        finally:
            with self._lock:
                error = self._rejections.awaited.pop(number, None)
        if error is not None:
            raise error

    def post(self, entry: Entry, timeout: float) -> None:
        """Add the event to the outbox; waits for room, and raises Unreachable after `timeout` s."""
        check_threads()
        outbox, lock = self._outbox, self._lock
        if (
            outbox.credit > 0
            and not self._closed
            and len(entry[1]) <= SMALL
            and len(entry[0]) == 1
            and not lock._is_owned()  # type: ignore[attr-defined] # noqa: SLF001 - see `_amid_a_call`
        ):
            with lock:
                if outbox.credit > 0:
                    outbox.spend(entry)
                    return
        deadline = 0.0
        if self._amid_a_call():
            self._inserted.append(entry)
            self.link.wake()
            return
        try:
            while True:
                with lock:
                    if not self._closed and outbox.has_room():
                        outbox.add(entry)
                        if outbox.due():
                            self._pump()
                        outbox.grant()
                        return
                deadline = deadline or time.monotonic() + timeout
                self._wait_for_room(deadline, timeout)
        except BaseException:
            self.link.wake()
            raise

    def flush(self, timeout: float | None) -> None:
        """Wait until all events so far are settled; raises Unreachable, or NotPublished."""
        if sys.is_finalizing() and not self.pending:
            return
        check_threads()
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            self._take_inserted()
            last = self._outbox.last
            if not self._outbox.settled(last):
                self._pump()
                if self.link.is_current_thread():
                    raise RuntimeError("the publisher's own thread can't wait in flush()")
        if not self._wait(lambda: self._outbox.settled(last), deadline):
            with self._lock:
                raise self._unreachable(timeout or 0, f"{len(self._outbox)} events are waiting")
        with self._lock:
            error = self._rejections.take()
        if error is not None:
            raise error

    @property
    def pending(self) -> int:
        """How many events aren't settled yet."""
        return len(self._outbox) + len(self._inserted)

    def close(self, *, wait: bool = True) -> None:
        """End the link, whatever is pending."""
        self._closed = True
        if sys.is_finalizing():
            return
        try:
            with self._lock:
                self._changed.notify_all()
        finally:
            self.link.stop(wait=wait)

    def statistics(self) -> PublisherStatistics:
        """Return the counts so far."""
        with nullcontext() if sys.is_finalizing() else self._lock:
            reconnects = max(0, self._connections_made - 1)
            return self._outbox.statistics({**self._counts, "reconnects": reconnects})

    def _wait_until_settled(self, number: int, deadline: float, timeout: float) -> None:
        if not self._wait(lambda: self._outbox.settled(number), deadline):
            with self._lock:
                self._outbox.withdraw(number)
                raise self._unreachable(timeout, "the event may still arrive")

    def _send_and_read(self, number: int, deadline: float) -> None:
        """Send, and read in this thread until that event is settled, if no other one reads."""
        mine = False
        connection = None
        try:
            with self._lock:
                connection = self._connection
                if connection is None or self._reading:
                    return
                mine = self._reading = True
                self._send_alone(connection, number)
            connection.request_read()
            with connection.read_lock:
                connection.read_requested = False
                while not self._outbox.settled(number):
                    self.received(connection.next_frame(deadline, connection.wait))
        except TimedOut:
            pass  # `publish` notices
        except ConnectionLost as error:
            if connection is not None:
                connection.fail(error)
        except BaseException:
            if mine and connection is not None and not connection.idle:
                self._interrupted = True
            raise
        finally:
            if mine and connection is not None:
                self._reading = connection.read_requested = False
            if self._inserted or not self._outbox.empty:
                with self._lock:
                    self._pump()

    def _waits_for_answers(self) -> bool:
        """Whether nothing was posted: then a Unix socket is quicker, otherwise TCP is."""
        return self._outbox.last == self._counts["published"] and not self._inserted

    # -- for the link, in its thread

    def connected(self, connection: Connection, welcome: Welcome) -> None:
        """Send again all events that weren't acknowledged."""
        with self._lock:
            self._connections_made += 1
            self._runs = RUNS in welcome.can
            self._publish_calls.incarnation = welcome.incarnation
            self._connection, self._failure = connection, None
            self._pump()

    def received(self, frame: Frame) -> None:
        """Process an answer to a batch."""
        rejected = 0
        with self._lock:
            first = self._calls.get(frame.seq)
            if frame.type != RESULT or first is None:
                return
            number, refused, error = self._publish_calls.read_answer(frame, first)
            if number is not None:
                self._outbox.acknowledge(number)
                self._outbox.acknowledged -= len(refused)
            elif (batch := self._outbox.reject(first)) is not None:
                refused = range(batch.first, batch.last + 1)
            if error is not None:
                self._counts["failed"] += len(refused)
                rejected = self._rejections.note(refused, error)
            del self._calls[frame.seq]
            if not self._outbox.empty and self._outbox.due():
                self._send()
            self._changed.notify_all()
        if rejected:  # without the lock: the program's log handler may publish, or wait
            _log.error("%s refused by the event service: %s", events(rejected), error)

    def woken(self) -> None:
        """Send what an interrupted thread has left; normally, the posting threads send."""
        with self._lock:
            if self._interrupted or self._inserted or self._outbox.due():
                self._pump()

    def disconnected(self, error: Exception) -> None:
        """Keep everything for the next connection."""
        with self._lock:
            self._connection, self._failure = None, error
            self._rewind()
            self._interrupted = False

    def closing(self, connection: Connection) -> None:
        """Do nothing: `Publisher.close` has flushed."""

    def refused(self, error: Refused) -> None:
        """Raise the error in waiting threads; the next call starts the link again."""
        with self._lock:
            self._refusal = error
            self._changed.notify_all()

    # -- with the lock held

    def _pump(self) -> None:
        """Send what may be sent, and ensure that a thread reads while an answer is due."""
        self._take_inserted()
        self._send()
        if self._outbox.in_flight and self._connection is not None:
            self._connection.ensure_reader()

    def _take_inserted(self) -> None:
        while self._inserted:
            self._outbox.add(self._inserted.popleft())

    def _send(self) -> None:
        """Send batches while there are events and the window is open."""
        if self._interrupted:
            self._abandon_connection()
        if self._connection is None:
            self.link.start()
            return
        try:
            while (batch := self._outbox.next_batch()) is not None:
                self._seq = self._seq % 0xFFFF + 1
                self._calls[self._seq] = batch.first
                entries = with_runs(batch.entries) if self._runs else batch.entries
                params = [self._id, batch.first, entries]
                frame = encode_call(self._seq, EVENTSERVICE_NAME, METHOD, params)
                self._connection.write(frame)
        except ConnectionLost:
            self._connection = None  # the link will notice, and call `disconnected`
        except BaseException:
            self._interrupted = True
            raise

    def _send_alone(self, connection: Connection, number: int) -> None:
        """Send as `_send`, with few steps if that event is the only one."""
        try:
            usual = not self._interrupted and not self._inserted
            entry = self._outbox.next_alone(number) if usual else None
            if entry is not None:
                seq = self._seq = self._seq % 0xFFFF + 1
                self._calls[seq] = number
                connection.write(self._publish_calls.encode(seq, number, entry))
                return
        except ConnectionLost:
            self._connection = None  # as in `_send`
        except BaseException:
            self._interrupted = True
            raise
        self._send()

    def _abandon_connection(self) -> None:
        """Abandon the connection after an interruption: what was sent or read is unknown."""
        if self._connection is not None:
            self._connection.fail(Abandoned("a thread was interrupted while using it"))
            self._connection = None
        self._rewind()
        self._interrupted = False

    def _rewind(self) -> None:
        self._calls.clear()
        self._counts["retries"] += self._outbox.rewind()

    def _amid_a_call(self) -> bool:
        """Whether this thread holds the lock already, or would wait for itself."""
        if self.link.is_current_thread():
            return True
        return bool(self._lock._is_owned())  # type: ignore[attr-defined] # noqa: SLF001 - as `Condition` asks it

    def _wait(self, settled: Callable[[], bool], deadline: float | None) -> bool:
        """Wait; False when the time is over. Raises Closed, and Refused of a first connection."""
        self._refusal = None

        def find() -> bool:
            if settled():
                return True
            if self._closed:
                raise Closed("the publisher was closed")
            if self._refusal is not None:
                raise self._refusal
            return False

        return self._changed.wait_for(find, deadline)

    def _wait_for_room(self, deadline: float, timeout: float) -> None:
        with self._lock:
            if self._closed:
                raise Closed("the publisher was closed")
            if self._outbox.has_room():
                return
            self._pump()
        if not self._wait(self._outbox.has_room, deadline):
            with self._lock:
                raise self._unreachable(timeout, f"{len(self._outbox)} events are waiting already")

    def _unreachable(self, timeout: float, state: str) -> Unreachable:
        return not_taken(timeout, state, self._failure, connected=self._connection is not None)
