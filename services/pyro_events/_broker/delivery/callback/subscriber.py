"""Delivery the classical way: the event service calls `event` of an object in a Pyro5 daemon.

A batch is in flight alone: when one of its events raises, the daemon skips the rest, which is sent
again and must not be overtaken. Single calls (marshal) are pipelined; an exception there concerns
no other call.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pyro_events._broker.delivery.callback import messages
from pyro_events._broker.delivery.callback.connection import DaemonConnection
from pyro_events._broker.delivery.callback.disconnect_notifier import DisconnectNotifier
from pyro_events._broker.delivery.callback.in_flight import ErrorLog, InFlightBatch
from pyro_events._broker.delivery.encoder import UNENCODABLE, Variant
from pyro_events._broker.delivery.items import item_size, singles
from pyro_events._broker.delivery.subscriber import BrokerSubscriber
from pyro_events._broker.net.loop import Deadline
from pyro_events._broker.snapshot.fields import EVENTS, Fields, many, plain
from pyro_events._protocol.numbering import SERIES_SIZE
from pyro_wire import framing
from pyro_wire.framing import Frame, ProtocolError

if TYPE_CHECKING:
    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.delivery.encoder import Group
    from pyro_events._broker.delivery.options import SubscriberOptions
    from pyro_events._broker.principal import Principal
    from pyro_events._broker.snapshot.model import Callee, Kind, SubscriberSnapshot
    from pyro_events._protocol.event import Item

_UNKNOWN = "DaemonError: unknown object"
_MAX_CLASSES = 100
_log = logging.getLogger("pyro_events")


class CallbackSubscriber(BrokerSubscriber):
    """A Pyro object with an `event` method, known by its URI."""

    kind: ClassVar[Kind] = "callback"

    SNAPSHOT: ClassVar = BrokerSubscriber.SNAPSHOT | Fields(
        "_proven", "_limit", "_seq", "_missing", "_series", "_settled", "_reached",
        parts=("_daemon", "_grace", "_error_log"),
        _staged=EVENTS,
        _unanswered=many(deque, InFlightBatch),
        _notices=plain(deque),
    )  # fmt: skip
    TRANSIENT: ClassVar = (
        *BrokerSubscriber.TRANSIENT,
        "_unknown_classes",  # learned again
    )
    HANDOVER_ONLY: ClassVar = BrokerSubscriber.HANDOVER_ONLY | {
        "_missing",  # counted by `adopt`
        "_reached",  # so it was when it was made
        "_proven", "_limit", "_seq", "_notices", "_error_log", "_grace",  # the connection ends
    }  # fmt: skip

    def __init__(
        self,
        context: DeliveryContext[BrokerSubscriber],
        callee: Callee,
        owner: Principal,
        options: SubscriberOptions,
        slot: int | None = None,
    ) -> None:
        super().__init__(context, callee.uri, callee.uri, owner, options, slot)
        self._daemon = DaemonConnection(context, callee, self)
        self._proven = False
        """Whether the object has answered over this connection."""
        self._staged: list[Item] = []
        """Events that are out of the mailbox, and not in flight yet or any more."""
        self._unanswered: deque[InFlightBatch] = deque()
        self._notices: deque[dict[str, object]] = deque()
        """Notices that wait for a connection."""
        self._limit = 1
        """How many events the next batch may have."""
        self._seq = 0
        self._series = os.urandom(SERIES_SIZE)
        self._settled = 0
        """How many events were answered in this series of numbers; the next one has the next."""
        self._unknown_classes: set[str] = set()
        """Classes that its daemon can't decode, and so hangs up: no event with them is sent."""
        self._error_log = ErrorLog()
        self._grace = Deadline(context.loop, self._not_returned)
        """Until it has subscribed again after a restart; before that nothing is sent."""
        self._missing = 0
        """Events of the last process that it may have got, or not."""
        self._reached = False
        """Whether it was connected to, or that has failed and was counted."""
        if slot is None:
            self._daemon.connect()

    @property
    def aware(self) -> bool:
        """Whether the object has an exposed `es_notice` method, according to its daemon."""
        return self._daemon.aware

    @property
    def broken(self) -> bool:
        """Whether attempts to reach it have failed."""
        return not self._daemon.greeted and self._daemon.retries.broken

    @property
    def state(self) -> str:
        """One of `connected`, `connecting` and `retrying`."""
        if self._daemon.greeted:
            return "connected"
        return "retrying" if self.broken else "connecting"

    @property
    def busy(self) -> bool:
        """Whether events or notices are under way to it."""
        return bool(self._unanswered) or self.queued > 0

    @property
    def in_flight(self) -> int:
        """Events that it may have handled without our knowing."""
        return sum(len(each.items) for each in self._unanswered)

    def pump(self) -> None:
        """Send what may be sent now."""
        self._dirty = False
        while self._may_send():
            items = self._staged or self.context.encoder.singles(self._take(self._limit))
            if not items:
                break
            self._notify_gap()
            variant = Variant(as_dict=bool(self.options.as_dict), msgpack=self._daemon.packed)
            group = self.context.encoder.group(items[: self._limit], variant)
            items, self._staged = items[: group.events], items[group.events :]
            if group.serializer == UNENCODABLE:
                self._all_failed(items, "no serializer can carry its message")
            elif unknown := group.classes & self._unknown_classes:
                self._all_failed(items, messages.UNSUPPORTED + min(unknown))
            else:
                self._send(group, items)

    def notify(self, notice: dict[str, object]) -> None:
        """Call `es_notice` of an aware subscriber, now or when there is a connection again.

        That the event service is about to stop is reported now or not at all.
        """
        if self._daemon.greeted:
            self._send_notice({**self.context.identity, **notice})
        elif notice["kind"] != "stopping":
            self._notices.append({**self.context.identity, **notice})

    def dismiss(self, reason: str) -> None:
        """Call `es_notice` of an aware subscriber, over this connection if there is one."""
        notice: dict[str, object] = {
            **self.context.identity,
            "kind": "disconnected",
            "reason": reason,
        }
        daemon = self._daemon
        if not daemon.greeted:
            DisconnectNotifier(self.context, daemon.callee, notice).daemon.connect()
        elif self.aware:
            self._send_notice(notice)
            daemon.finish(f"dismissed: {reason}", self.context.settings.retry_for)
            DisconnectNotifier(self.context, daemon.callee, notice, daemon)

    def close(self) -> None:
        """Hang up, unless the subscriber still has to read why."""
        super().close()
        self._grace.cancel()
        if self._daemon.owner is self:
            self._daemon.close()

    @property
    def callee(self) -> Callee:
        """Where it is called."""
        return self._daemon.callee

    def move(self, callee: Callee) -> None:
        """Call it there from the next connection on; a key that isn't given again stays."""
        if callee.key is None:
            callee = callee._replace(key=self.callee.key, certificate=self.callee.certificate)
        self._daemon.callee = callee

    def roster_entry(self) -> SubscriberSnapshot:
        """Return what the roster records."""
        series = self._series if self._daemon.numbered else b""
        return replace(super().roster_entry(), callee=self.callee, series=series)

    def configure(self, options: SubscriberOptions) -> None:
        """Change the options; the subscriber may know more classes than before."""
        super().configure(options)
        self._unknown_classes.clear()

    # From one process to the next

    def export(self) -> SubscriberSnapshot:
        """Return everything; what an object without numbers may have received is left out."""
        saved = super().export()
        if not self._daemon.numbered:
            waiting = [*self._staged, *singles(list(self._mailbox))]
            return replace(saved, accounted=saved.accounted + self._settled, waiting=waiting)
        unanswered = [item for request in self._unanswered for item in request.items]
        return replace(
            saved,
            acked=self._settled,
            sent=[*unanswered, *self._staged],
            waiting=singles(list(self._mailbox)),
        )

    def adopt(self, saved: SubscriberSnapshot) -> None:
        """Continue; it has to subscribe again within `reconnect_grace` seconds, and is told so."""
        here = saved.acked + len(saved.sent) + len(saved.waiting) + saved.untold
        most = saved.promised - here  # earlier versions accounted for what was acknowledged, too
        saved = replace(saved, accounted=min(saved.accounted, max(0, most)))
        super().adopt(saved)
        if saved.series:
            self._series, self._settled = saved.series, saved.acked
            self._daemon.numbered = True
        self._missing = max(0, saved.promised - saved.accounted - here)
        self._daemon.methods = frozenset({"event", "es_notice"})  # as its daemon said last time
        self._staged = saved.sent
        self._mailbox.carry(len(saved.sent), sum(map(item_size, saved.sent)))
        self._mailbox.load(saved.waiting, list(map(item_size, saved.waiting)))
        self._grace.set(self.context.settings.reconnect_grace)

    def returned(self) -> None:
        """Deliver what has waited, after a notice if something is missing."""
        if self._grace.at is None:
            return
        self._grace.cancel()
        missing, self._missing = self._missing, 0
        if missing:
            self._account(missing)
            self.notify({"kind": "gap", "missed": None, "reason": "restarted"})
        self._touch()

    def _not_returned(self) -> None:
        self.context.drop(self, "it did not subscribe again after a restart")

    # Sending

    def _may_send(self) -> bool:
        if not self._daemon.greeted or any(each.batch for each in self._unanswered):
            return False
        if self._grace.at is not None or self.context.frozen:
            return False
        return len(self._unanswered) < self.context.settings.window

    def _send(self, group: Group, items: list[Item]) -> None:
        daemon, seq = self._daemon, self._seq
        assert daemon.connection is not None
        batch = group.serializer != framing.MARSHAL
        series, number = self._series if daemon.numbered else None, self._next_number
        request = InFlightBatch(seq, items, self.context.loop.clock(), batch=batch)
        self._expect_answer(request, len(group.parts))
        self.context.traffic.delivered(items, len(items), time.time())
        daemon.connection.send(*messages.events(daemon.uri.object, group, seq, series, number))

    @property
    def _next_number(self) -> int:
        """The number of the first event that is not in flight; those before it keep theirs."""
        return self._settled + self.in_flight + 1

    def _send_notice(self, notice: dict[str, object]) -> None:
        if self.aware:
            request = InFlightBatch(self._seq, [], self.context.loop.clock(), notice=notice)
            self._expect_answer(request, 1)
            self._daemon.send_notice(notice, request.seq)

    def _expect_answer(self, request: InFlightBatch, calls: int) -> None:
        self._seq = (self._seq + calls) & 0xFFFF
        if not self._unanswered:
            self._daemon.expect_answer()
        self._unanswered.append(request)

    # The daemon connection's owner

    def on_greeted(self) -> None:
        """Send what has waited for a connection."""
        if "event" not in self._daemon.methods:
            self.context.drop(self, "it has no exposed event method")
            return
        self._reached = True
        self.context.record(self)  # now it is known whether it is aware
        self._proven = False
        while self._notices:
            self._send_notice(self._notices.popleft())
        self._touch()

    def on_lost(self, reason: str | None) -> None:
        """Keep everything for the next connection."""
        for request in reversed(self._unanswered):
            self._staged = request.items + self._staged
            if request.notice is not None and request.notice["kind"] != "stopping":
                self._notices.appendleft(request.notice)
        self._unanswered.clear()
        if reason is None:
            return
        if not self._reached:
            self._reached = True
            self.context.failures.failed(self.owner.account)
        self._unknown_classes.clear()  # another program may come at that address
        if self._daemon.retries.first:
            _log.info("subscriber %s: %s; trying again", self, reason)
        self.context.counters.retries += 1
        self._connection_broke()

    def on_ended(self, reason: str) -> None:
        """Drop the subscriber."""
        self.context.drop(self, reason)

    def on_answer(self, frame: Frame) -> None:
        """Handle an answer of the subscriber's daemon."""
        unanswered = self._unanswered
        if frame.type != framing.RESULT or not unanswered or frame.seq != unanswered[0].seq:
            raise ProtocolError("the subscriber's daemon answers something that was not asked")
        request = unanswered[0]
        if (
            frame.flags & framing.EXCEPTION
            and self._proven
            and _UNKNOWN in messages.describe(frame)
        ):
            # It was there when we connected. It may come back, so everything is kept.
            raise ProtocolError("its daemon does not know the object any more")
        self._proven = True
        self._daemon.hangs_up = False
        if frame.flags & framing.EXCEPTION:
            self._learn(messages.describe(frame))
        if request.notice is not None:
            unanswered.popleft()
        elif request.batch:
            self._batch_answered(request, frame)
        else:
            self._call_answered(request, frame)
        self._daemon.retries.answered()
        if unanswered:
            self._daemon.expect_answer()
        else:
            self._daemon.deadline.clear()
        self._touch()

    def _call_answered(self, request: InFlightBatch, frame: Frame) -> None:
        item = request.answered()
        if not request.items:
            self._unanswered.popleft()
            self._adapt(request)
        if not frame.flags & framing.EXCEPTION:
            self._count_delivered(1)
            self._answered([item])
        else:
            self._event_failed(item, messages.describe(frame))

    def _batch_answered(self, request: InFlightBatch, frame: Frame) -> None:
        sent = len(request.items)
        good, error = messages.batch_outcome(frame, sent)
        self._unanswered.popleft()
        self._count_delivered(good)
        self._answered(request.items[:good])
        if error is None:
            self._adapt(request, full=sent >= self._limit)
            return
        rest = request.items[good:]
        if frame.flags & framing.EXCEPTION and sent > 1:
            self._limit = 1  # the daemon can't read one of them: find out which
        else:
            self._event_failed(rest.pop(0), error)
            # The rest was sent in vain; a subscriber that fails often gets little at a time.
            self._limit = max(1, min(self._limit, 2 * good))
        self._staged = rest + self._staged

    def _answered(self, items: list[Item]) -> None:
        """Account for events that were answered, well or with an error."""
        self._settled += len(items)
        self._note_acknowledged(self._settled)
        self._settle(len(items), sum(map(item_size, items)))

    def _adapt(self, request: InFlightBatch, *, full: bool = True) -> None:
        most, now = self.context.settings.batch_events, self.context.loop.clock()
        self._limit = request.next_limit(self._limit, most, now, full=full)

    def _learn(self, error: str) -> None:
        """Remember a class that its daemon doesn't know; after that answer, it hangs up."""
        name = messages.unknown_class(error)
        if name is not None and len(self._unknown_classes) < _MAX_CLASSES:
            self._unknown_classes.add(name)
            self._daemon.hangs_up = True

    def _all_failed(self, items: list[Item], error: str) -> None:
        for item in items:
            self._event_failed(item, error)

    def _event_failed(self, item: Item, error: str) -> None:
        self.errors += 1
        self.context.counters.errors += 1
        self._answered([item])
        self._error_log.warn(self.name, item, error, self.context.loop.clock())
