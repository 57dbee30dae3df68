"""Delivery over a connection that the subscriber itself has opened, and opens again.

An event is numbered when it is sent; the subscriber acknowledges numbers. What it has not
acknowledged is kept, and sent again when it comes back within `reconnect_grace` seconds. The
numbers continue in the next process, if that knows the subscriber: the last one is then what was
promised, less what is accounted for (see BrokerSubscriber).
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import msgpack

from pyro_events._broker.delivery.items import item_size, singles
from pyro_events._broker.delivery.pacing import next_limit
from pyro_events._broker.delivery.subscriber import BrokerSubscriber
from pyro_events._broker.net.loop import Deadline
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, plain
from pyro_events._protocol.capabilities import LATE, RUNS
from pyro_events._protocol.runs import events_in
from pyro_wire import framing
from pyro_wire.framing import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.delivery.options import SubscriberOptions
    from pyro_events._broker.net.connection import ServerConnection
    from pyro_events._broker.principal import Principal
    from pyro_events._broker.snapshot.model import Kind, SubscriberSnapshot
    from pyro_events._protocol.event import Queued

_ACK_SIZE = 8
_EVENTS = b"\x92\xcf"
_EVENTS_WITH_RUNS = b"\x93\xcf"
"""How frames begin, up to the number of the first event; in the latter, the count comes next."""
_SMALL_FRAMES = 64
"""Frames of few events that may be unacknowledged, more than of the usual ones."""
_ACK_AFTER = 64
"""Events after which the subscriber of small frames acknowledges them, at the latest."""
_FIRST_LIMIT = 16
"""Events in the first frame, of a subscriber that may turn out to be slow."""


class _Sent(NamedTuple):
    """A frame that is not acknowledged: its events have the numbers from `first` on."""

    first: int
    items: Sequence[Queued]
    events: int
    size: int
    since: float

    @property
    def last(self) -> int:
        return self.first + self.events - 1


_SENT = FieldCodec(
    lambda sent, writer: [(each.first, writer.share(each.items), *each[2:]) for each in sent],
    lambda values, reader: deque(
        _Sent(first, reader.shared(items), *rest) for first, items, *rest in values
    ),
)
_AGAIN = FieldCodec(
    lambda lists, writer: list(map(writer.share, lists)),
    lambda values, reader: deque(map(reader.shared, values)),
)


class StreamSubscriber(BrokerSubscriber):
    """A helper's subscriber. `name` is for people, `key` is chosen by the helper."""

    kind: ClassVar[Kind] = "stream"

    SNAPSHOT: ClassVar = BrokerSubscriber.SNAPSHOT | Fields(
        "_next", "_acked", "_lost", "_absence", "_limit",
        parts=("_grace", "_heartbeat"),
        _can=plain(frozenset),
        _sent=_SENT,
        _again=_AGAIN,
    )  # fmt: skip
    TRANSIENT: ClassVar = (
        *BrokerSubscriber.TRANSIENT,
        "_connection",  # the session's; see `rejoin`
        "ack_after",  # set by `rejoin`
    )
    HANDOVER_ONLY: ClassVar = BrokerSubscriber.HANDOVER_ONLY | {
        "_next",  # follows from the others
        "_grace", "_absence", "_heartbeat", "_limit", "_can",  # the connection ends
    }  # fmt: skip

    def __init__(
        self,
        context: DeliveryContext[BrokerSubscriber],
        key: str,
        name: str,
        owner: Principal,
        options: SubscriberOptions,
        slot: int | None = None,
    ) -> None:
        super().__init__(context, key, name, owner, options, slot)
        self._connection: ServerConnection | None = None
        self._sent: deque[_Sent] = deque()
        self._again: deque[Sequence[Queued]] = deque()
        """Events that have to be sent again."""
        self._limit = min(_FIRST_LIMIT, context.settings.batch_events)
        """How many events the next frame may have."""
        self._can: frozenset[str] = frozenset()
        """See `Session.can`."""
        self.ack_after = 1
        """How many events the subscriber may handle before it acknowledges them."""
        self._next = 1
        self._acked = 0
        self._lost = 0
        """Events with a number up to this one that did not arrive were lost with a process."""
        self._grace = Deadline(context.loop, lambda: context.drop(self, self._absence))
        self._absence = "it did not come back"
        self._heartbeat = Deadline(context.loop, self._check_pulse)

    @property
    def aware(self) -> bool:
        """Every helper is."""
        return True

    @property
    def broken(self) -> bool:
        """Whether it has no connection now."""
        return self._connection is None

    @property
    def state(self) -> str:
        """Either `connected`, or `away` while it may come back."""
        return "away" if self.broken else "connected"

    def hang_up(self, reason: str) -> None:
        """Close the connection after everything that was sent, such as a notice."""
        if self._connection is not None:
            self._connection.finish(reason)

    def finish(self, reason: str) -> None:
        """Hang up at the end of the service, after a notice if everything was delivered."""
        if not self._again and not len(self._mailbox):
            self.notify({"kind": "complete", "last": self._next - 1})
        self.hang_up(reason)

    def resumable(self, incarnation: str | None, last: int | None) -> bool:
        """Return whether it is known what came after the number `last` of that incarnation."""
        known = incarnation == self.context.identity["incarnation"] or incarnation in self.lineage
        if not known or last is None:
            return False
        return last < self._lost or self._acked <= last < self._next

    def attach(
        self,
        connection: ServerConnection,
        last: int | None,
        *,
        can: frozenset[str] = frozenset(),
    ) -> tuple[int, int]:
        """Deliver over this connection, from after `last` on; None if no number is known.

        Returns the number of the next event, and how many were lost without a notice.
        """
        if self._connection is not None:
            self._connection.close("the subscriber came back over another connection")
        self._connection, self._can = connection, can
        self._set_ack_after()
        self._grace.cancel()
        if last is None:
            self._renumber()
            missed = 0
        else:
            missed = max(0, self._lost - last)
            self._rewind(max(self._lost, last))
        missed += self._take_unreported()
        self._heartbeat.set(self.context.settings.ping_after)
        self._touch()
        return self._next, missed

    def detached(self, connection: ServerConnection) -> None:
        """Wait for the subscriber to come back, when its connection has ended."""
        if connection is self._connection and not self.gone:
            self._connection = None
            self._heartbeat.clear()
            self._await_return("its connection broke and it did not come back")
            self._connection_broke()

    def acknowledge(self, data: bytes) -> None:
        """Record what the subscriber has handled; raises ProtocolError for an invalid number."""
        number = int.from_bytes(data, "big")
        if len(data) != _ACK_SIZE or number >= self._next:
            raise ProtocolError("an event is acknowledged that was never sent")
        self._acknowledged(number)
        if self._again or len(self._mailbox):
            self._touch()

    def pump(self) -> None:
        """Send frames while the window is open."""
        self._dirty = False
        connection, context, mailbox = self._connection, self.context, self._mailbox
        if connection is None or context.frozen:
            return
        while (len(mailbox) or self._again) and self._window_is_open():
            items: Sequence[Queued]
            if self._again:
                items = self._again.popleft()
                events, size = events_in(items), sum(map(item_size, items))
            else:
                events, size = mailbox.away, mailbox.away_bytes
                items = self._take(self._limit)
                if not items:
                    break
                events, size = mailbox.away - events, mailbox.away_bytes - size
            if self._dropped_before + mailbox.dropped > self._gaps_reported:
                self._notify_gap()
            number = self._next.to_bytes(8, "big")
            if RUNS in self._can:
                start = b"".join((_EVENTS_WITH_RUNS, number, b"\xce", events.to_bytes(4, "big")))
            else:
                items = context.encoder.singles(items)
                start = _EVENTS + number
            body = context.encoder.stream_body(items)
            header = framing.encode_header(
                framing.INVOKE, framing.MSGPACK, framing.ONEWAY, 0, len(start) + len(body)
            )
            context.traffic.delivered(items, events, time.time())
            self._sent.append(_Sent(self._next, items, events, size, context.loop.clock()))
            self._next += events
            if len(body) > framing.SMALL:
                connection.send(header + start, body)
            else:
                connection.send(b"".join((header, start, body)))

    def _window_is_open(self) -> bool:
        """Return whether one more frame may be sent."""
        frames, late = len(self._sent), self.ack_after
        if frames < self.context.settings.window:
            return True
        return late > 1 and frames < _SMALL_FRAMES and self._next - self._acked <= 2 * late

    def configure(self, options: SubscriberOptions) -> None:
        """Change the options, and what follows from them."""
        super().configure(options)
        self._set_ack_after()

    def _set_ack_after(self) -> None:
        room = min(self._queue_size // 2, self.context.settings.batch_events)
        late = LATE in self._can
        self.ack_after = max(1, min(_ACK_AFTER, room // 4)) if late else 1

    def notify(self, notice: dict[str, object]) -> None:
        """Push a notice, if the subscriber is connected."""
        if self._connection is not None:
            data = msgpack.packb([None, notice])
            self._connection.send(
                framing.encode_frame(framing.INVOKE, framing.MSGPACK, framing.ONEWAY, 0, data)
            )

    def dismiss(self, reason: str) -> None:
        """Push the reason, and hang up: the helper notices at once."""
        self.notify({"kind": "disconnected", "reason": reason})
        self.hang_up(f"dismissed: {reason}")

    def close(self) -> None:
        """End the subscription; the connection stays, it may be used for other calls."""
        super().close()
        self._connection = None
        self._heartbeat.cancel()
        self._grace.cancel()

    # From one process to the next

    def export(self) -> SubscriberSnapshot:
        """Return what a planned restart saves; this subscriber is not changed."""
        sent = [item for each in self._sent for item in singles(each.items)]
        if self._sent:
            sent = sent[self._acked + 1 - self._sent[0].first :]
        waiting = [item for items in self._again for item in singles(items)]
        return replace(
            super().export(),
            acked=self._acked,
            lost=self._lost,
            sent=sent,
            waiting=[*waiting, *singles(list(self._mailbox))],
        )

    def adopt(self, saved: SubscriberSnapshot) -> None:
        """Continue; the subscriber has to come back within `reconnect_grace` seconds."""
        super().adopt(saved)
        self._acked, self._lost = saved.acked, saved.lost
        self._next = self._acked + 1 + len(saved.sent)
        if saved.sent:
            size, events = sum(map(item_size, saved.sent)), len(saved.sent)
            self._sent.append(_Sent(self._acked + 1, list(saved.sent), events, size, 0.0))
            self._mailbox.carry(events, size)
        self._mailbox.load(saved.waiting, list(map(item_size, saved.waiting)))
        self._await_return("it did not come back after a restart")

    def rejoin(self, connection: ServerConnection) -> None:
        """Continue over the connection that another process had."""
        self._connection = connection
        self._set_ack_after()

    def _await_return(self, absence: str) -> None:
        self._absence = absence
        self._grace.set(self.context.settings.reconnect_grace)

    # Numbers

    def _renumber(self) -> None:
        """Begin with 1, whatever there was before."""
        self._rewind(self._acked)
        self._next, self._acked, self._lost = 1, 0, 0
        values = self.context.counter_file.values
        values[self.slot] = self.queued + self._unreported
        values[self.slot + 1] = values[self.slot + 2] = 0
        if self.context.accepted is not None:
            self.context.accepted.renumbered(self.slot)

    def _acknowledged(self, number: int) -> None:
        count = size = 0
        while self._sent and self._sent[0].last <= number:
            sent = self._sent.popleft()
            count += sent.events
            size += sent.size
        if count:
            self._settle(count, size)
            most, took = self.context.settings.batch_events, self.context.loop.clock() - sent.since
            full = sent.events >= self._limit
            self._limit = next_limit(self._limit, most, took, full=full)
        if number > self._acked:
            self._count_delivered(number - self._acked)
            self._acked = number
            self._note_acknowledged(number)

    def _rewind(self, last: int) -> None:
        self._acknowledged(last)
        for sent in reversed(self._sent):
            known = max(0, last + 1 - sent.first)
            if known:
                each = singles(sent.items)
                self._settle(known, sum(map(item_size, each[:known])))
                self._again.appendleft(each[known:])
            else:
                self._again.appendleft(sent.items)
        self._sent.clear()
        self._next = last + 1

    def _check_pulse(self) -> None:
        connection, settings = self._connection, self.context.settings
        if connection is None:
            return
        silent = self.context.loop.clock() - connection.last_received
        if silent >= settings.silence:
            connection.close(f"silent for {silent:.0f} s")
            return
        if silent >= settings.ping_after:
            connection.send(framing.encode_frame(framing.PING, framing.MSGPACK, 0, 0, b"ping"))
            self._heartbeat.set(min(settings.ping_after, settings.silence - silent))
        else:
            self._heartbeat.set(settings.ping_after - silent)
