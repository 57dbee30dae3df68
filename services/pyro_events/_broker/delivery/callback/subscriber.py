"""Delivery the classical way: the event service calls `event` of an object in a Pyro5 daemon.

A connection of our own to the daemon carries the calls. A batch is in flight alone: when one of
its events raises, the daemon skips the rest, which is sent again and must not be overtaken.
Single calls (marshal) are pipelined; an exception there concerns no other call.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_events._broker.delivery.callback import requests
from pyro_events._broker.delivery.callback.disconnect_notifier import DisconnectNotifier
from pyro_events._broker.delivery.callback.error_log import ErrorLog
from pyro_events._broker.delivery.callback.in_flight import InFlightBatch
from pyro_events._broker.delivery.callback.replies import batch_outcome, describe, load
from pyro_events._broker.delivery.callback.retries import Retries
from pyro_events._broker.delivery.encoder import UNENCODABLE, Variant
from pyro_events._broker.delivery.subscriber import BrokerSubscriber, item_size
from pyro_events._broker.net.connection import ServerConnection
from pyro_events._broker.net.dialer import Dial
from pyro_events._broker.net.loop import Deadline, Timer
from pyro_wire import framing
from pyro_wire.framing import Frame, FrameTooLarge, ProtocolError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from Pyro5.core import URI

    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.delivery.encoder import Group
    from pyro_events._broker.delivery.options import Options
    from pyro_events._broker.snapshot.model import Kind, SubscriberSnapshot
    from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter
    from pyro_events._protocol.event import Item

_MAX_REPLY = 16 << 20
_UNKNOWN = "DaemonError: unknown object"
_PLAIN = ("_msgpack", "_welcome", "_proven", "_limit", "_seq", "_missing")
"""What is handed over as it is."""
_log = logging.getLogger("pyro_events")


class CallbackSubscriber(BrokerSubscriber):
    """A Pyro object with an `event` method, known by its URI."""

    kind: ClassVar[Kind] = "callback"

    def __init__(
        self,
        context: DeliveryContext[BrokerSubscriber],
        uri: URI,
        options: Options,
        slot: int | None = None,
    ) -> None:
        super().__init__(context, str(uri), options, slot)
        self._uri = uri
        self._msgpack = True
        self._methods: frozenset[str] = frozenset()
        self._dial: Dial | None = None
        self._connection: ServerConnection | None = None
        self._welcome = False
        self._proven = False
        self._staged: list[Item] = []
        """Events that are out of the mailbox and, again or still, not in flight."""
        self._flights: deque[InFlightBatch] = deque()
        self._notices: deque[dict[str, object]] = deque()
        """News that wait for a connection."""
        self._limit = 1
        self._seq = 0
        self._deadline = Deadline(context.loop, self._unanswered)
        self._retry: Timer | None = None
        self._retries = Retries(context.loop.clock, context.settings)
        self._error_log = ErrorLog()
        self._grace: Timer | None = None
        """Runs while it has not subscribed again after a restart; until then it gets nothing."""
        self._missing = 0
        """Events of the last process that it may have got, or not."""
        if slot is None:
            self._connect()

    @property
    def key(self) -> str:
        """Its URI."""
        return self.name

    @property
    def aware(self) -> bool:
        """Whether the object has an exposed `es_notice` method, as its daemon told."""
        return "es_notice" in self._methods

    @property
    def state(self) -> str:
        """Say `connected`, `connecting` or `retrying`."""
        if self._welcome:
            return "connected"
        return "retrying" if self._retries.broken else "connecting"

    @property
    def queued(self) -> int:
        """Everything that was not answered."""
        return super().queued + len(self._staged) + self.in_flight

    @property
    def busy(self) -> bool:
        """Whether events or notices are under way to it."""
        return bool(self._flights) or self.queued > 0

    @property
    def in_flight(self) -> int:
        """Events that it may have handled without our knowing."""
        return sum(len(flight.items) for flight in self._flights)

    def pump(self) -> None:
        """Send what may be sent now."""
        self._dirty = False
        while self._may_send():
            items = self._staged or self._take(self._limit)
            if not items:
                break
            self._tell_gap()
            variant = Variant(as_dict=bool(self.options.as_dict), msgpack=self._msgpack)
            group = self.context.encoder.group(items[: self._limit], variant)
            items, self._staged = items[: group.events], items[group.events :]
            if group.serializer == UNENCODABLE:
                for item in items:
                    self._event_failed(item, "no serializer can carry its message")
            else:
                self._send(group, items)

    def notify(self, notice: dict[str, object]) -> None:
        """Call `es_notice` of an aware subscriber, now or when there is a connection again.

        Nobody has to hear later that the event service was about to stop.
        """
        if self._welcome:
            self._send_notice({**self.context.identity, **notice})
        elif notice["kind"] != "stopping":
            self._notices.append({**self.context.identity, **notice})

    def dismiss(self, reason: str) -> None:
        """Call `es_notice` of an aware subscriber, and give it time to read that."""
        notice: dict[str, object] = {"kind": "disconnected", "reason": reason}
        if self._connection is None or not self._welcome:
            DisconnectNotifier(self.context, self._uri, {**self.context.identity, **notice})
        elif self.aware:
            self.notify(notice)
            self._connection.finish(f"dismissed: {reason}", self.context.settings.retry_for)
            self.context.leaving.add(self)

    def export(self) -> SubscriberSnapshot:
        """Say everything but what is in flight: only the subscriber knows of that."""
        return replace(super().export(), waiting=[*self._staged, *self._mailbox])

    def restore(self, standing: SubscriberSnapshot) -> None:
        """Go on; it has to subscribe again within `reconnect_grace` seconds, and is told so."""
        super().restore(standing)
        here = len(standing.waiting) + standing.untold
        self._missing = max(0, standing.promised - standing.accounted - here)
        self._methods = frozenset({"event", "es_notice"})  # as its daemon said last time
        room = max(0, len(standing.waiting) - (self.options.queue_size or 1))
        self._staged, late = standing.waiting[:room], standing.waiting[room:]
        self._mailbox.offer_many(late, list(map(item_size, late)))
        self._wait(self.context.loop.clock() + self.context.settings.reconnect_grace)

    def hand_over(self, sender: SnapshotWriter) -> dict[str, Any]:
        """Say everything; a connection that is only being made is begun again over there."""
        connection = self._connection
        return {
            **super().hand_over(sender),
            "connection": connection and connection.hand_over(sender),
            "plain": [getattr(self, name) for name in _PLAIN],
            "methods": list(self._methods),
            "staged": sender.share(self._staged),
            "flights": [flight.hand_over(sender) for flight in self._flights],
            "notices": list(self._notices),
            "deadline": self._deadline.at,
            "retry": self._retry and self._retry.at,
            "grace": self._grace and self._grace.at,
            "retries": self._retries.hand_over(),
            "log": self._error_log.hand_over(),
        }

    def take_over(self, receiver: SnapshotReader, values: Mapping[str, Any]) -> None:
        """Go on from what another process has handed over, as soon as the loop runs."""
        super().take_over(receiver, values)
        loop, connection = self.context.loop, values["connection"]
        for name, value in zip(_PLAIN, values["plain"], strict=True):
            setattr(self, name, value)
        self._methods = frozenset(values["methods"])
        self._staged = receiver.shared(values["staged"])
        self._flights.extend(InFlightBatch.take_over(receiver, each) for each in values["flights"])
        self._notices.extend(values["notices"])
        self._retries.take_over(values["retries"])
        self._error_log.take_over(values["log"])
        self._wait(values["grace"])
        self._deadline.set_at(values["deadline"])
        if connection is not None:
            self._connection = ServerConnection.take_over(
                loop, receiver, connection, _MAX_REPLY, self
            )
        else:
            self._retry = loop.call_at(values["retry"] or 0.0, self._connect)

    def returned(self) -> None:
        """Deliver what has waited, after the news that something is missing."""
        if self._grace is None:
            return
        self._grace.cancel()
        self._grace = None
        missing, self._missing = self._missing, 0
        if missing:
            self._account(missing)
            self.notify({"kind": "gap", "missed": None, "reason": "restarted"})
        self._touch()

    def close(self) -> None:
        """Hang up; on who was dismissed only when it has read why, or when called again."""
        patient = self in self.context.leaving and not self.gone
        super().close()
        if self._dial is not None:
            self._dial.cancel()
        if self._retry is not None:
            self._retry.cancel()
        if self._connection is not None and not patient:
            self._connection.close("unsubscribed")
        self._deadline.cancel()
        if self._grace is not None:
            self._grace.cancel()
        self._welcome = False

    def _wait(self, until: float | None) -> None:
        if until is not None:
            failure = "it did not subscribe again after a restart"
            self._grace = self.context.loop.call_at(until, lambda: self.context.drop(self, failure))

    # Connecting

    def _connect(self) -> None:
        self._retry = None
        settings = self.context.settings
        self._dial = Dial(self.context.loop, settings.connect_timeout, self._dialled)
        self._dial.to(self._uri, self.context.resolver)

    def _dialled(self, outcome: socket.socket | OSError) -> None:
        self._dial = None
        if isinstance(outcome, OSError):
            self._lost(f"can't connect: {outcome.strerror or outcome}")
            return
        self._connection = ServerConnection(self.context.loop, outcome, _MAX_REPLY, self)
        self._connection.send(requests.greeting(self._uri.object, packed=self._msgpack))
        self._deadline.set(self.context.settings.reply_timeout)

    def _welcomed(self, frame: Frame) -> None:
        if frame.type == framing.CONNECTFAIL:
            raise ProtocolError(f"refused: {describe(frame)}")
        answer = load(frame)
        try:
            self._methods = frozenset(answer["meta"]["methods"])
        except (TypeError, KeyError):
            raise ProtocolError("the subscriber's daemon answers nonsense") from None
        if "event" not in self._methods:
            self.context.drop(self, "it has no exposed event method")
            return
        self._welcome = True
        self.context.record(self)  # now it is known whether it is aware
        self._proven = False
        while self._notices:
            self._send_notice(self._notices.popleft())
        self._retries.connected()
        self._deadline.clear()
        self._touch()

    def _lost(self, reason: str) -> None:
        """Keep everything for the next connection, unless there were too many of them."""
        for flight in reversed(self._flights):
            self._staged = flight.items + self._staged
            if flight.notice is not None and flight.notice["kind"] != "stopping":
                self._notices.appendleft(flight.notice)
        self._flights.clear()
        self._welcome = False
        self._connection = None
        self._deadline.clear()
        delay = self._retries.failed()
        if delay is None:
            self.context.drop(
                self, f"not reached for {self.context.settings.retry_for:g} s ({reason})"
            )
            return
        if self._retries.first:
            _log.info("subscriber %s: %s; trying again", self, reason)
        self.context.counters.retries += 1
        self._retry = self.context.loop.call_later(delay, self._connect)

    def _unanswered(self) -> None:
        if self._connection is not None:
            self._connection.close(f"no answer for {self.context.settings.reply_timeout:g} s")

    # Sending

    def _may_send(self) -> bool:
        if not self._welcome or any(flight.batch for flight in self._flights):
            return False
        if self._grace is not None or self.context.frozen:
            return False
        return len(self._flights) < self.context.settings.window

    def _send(self, group: Group, items: list[Item]) -> None:
        assert self._connection is not None
        batch, seq = group.serializer != framing.MARSHAL, self._seq
        self._depart(
            InFlightBatch(seq, items, self.context.loop.clock(), batch=batch), len(group.parts)
        )
        self._connection.send(*requests.events(self._uri.object, group, seq))

    def _send_notice(self, notice: dict[str, object]) -> None:
        if not self.aware or self._connection is None:
            return
        flight = InFlightBatch(self._seq, [], self.context.loop.clock(), batch=False, notice=notice)
        self._depart(flight, 1)
        self._connection.send(
            requests.notice(self._uri.object, notice, flight.seq, packed=self._msgpack)
        )

    def _depart(self, flight: InFlightBatch, requests: int) -> None:
        self._seq = (self._seq + requests) & 0xFFFF
        if not self._flights:
            self._deadline.set(self.context.settings.reply_timeout)
        self._flights.append(flight)

    # Receiving

    def on_frame(self, frame: Frame) -> None:
        """Handle an answer of the subscriber's daemon."""
        if not self._welcome:
            self._welcomed(frame)
            return
        if frame.type != framing.RESULT or not self._flights or frame.seq != self._flights[0].seq:
            raise ProtocolError("the subscriber's daemon answers something that was not asked")
        flight = self._flights[0]
        if frame.flags & framing.EXCEPTION and self._proven and _UNKNOWN in describe(frame):
            # It was there when we connected. It may come back, so everything is kept.
            raise ProtocolError("its daemon does not know the object any more")
        self._proven = True
        if flight.notice is not None:
            self._flights.popleft()
        elif flight.batch:
            self._batch_answered(flight, frame)
        else:
            self._call_answered(flight, frame)
        self._retries.answered()
        if self._flights:
            self._deadline.set(self.context.settings.reply_timeout)
        else:
            self._deadline.clear()
        self._touch()

    def on_too_large(self, error: FrameTooLarge) -> None:
        """Take an absurd answer for a broken connection."""
        raise error

    def on_closed(self, reason: str) -> None:
        """Try again with everything that was not answered."""
        if self.gone:
            self.context.leaving.discard(self)
            return
        if not self._welcome and reason.startswith(("closed", "lost")):
            # A daemon without msgpack hangs up on it without a word.
            self._msgpack = not self._msgpack
        self._lost(reason)

    def _call_answered(self, flight: InFlightBatch, frame: Frame) -> None:
        item = flight.answered()
        if not flight.items:
            self._flights.popleft()
            self._adapt(flight)
        if not frame.flags & framing.EXCEPTION:
            self._count_delivered(1)
            self._account(1)
        else:
            self._event_failed(item, describe(frame))

    def _batch_answered(self, flight: InFlightBatch, frame: Frame) -> None:
        sent = len(flight.items)
        good, error = batch_outcome(frame, sent)
        self._flights.popleft()
        self._count_delivered(good)
        self._account(good)
        if error is None:
            self._adapt(flight, full=sent >= self._limit)
            return
        rest = flight.items[good:]
        if frame.flags & framing.EXCEPTION and sent > 1:
            self._limit = 1  # the daemon can't read one of them: find out which
        else:
            self._event_failed(rest.pop(0), error)
            # The rest was sent in vain; who fails often gets little at a time.
            self._limit = max(1, min(self._limit, 2 * good))
        self._staged = rest + self._staged

    def _adapt(self, flight: InFlightBatch, *, full: bool = True) -> None:
        most, now = self.context.settings.batch_events, self.context.loop.clock()
        self._limit = flight.next_limit(self._limit, most, now, full=full)

    def _event_failed(self, item: Item, error: str) -> None:
        self.errors += 1
        self.context.counters.errors += 1
        self._account(1)
        self._error_log.warn(self, item, error)
