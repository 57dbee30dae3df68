"""What both kinds of subscribers have in common: a mailbox, its policy, and counters."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_events._broker.delivery.mailbox import Mailbox, Verdict
from pyro_events._broker.delivery.options import MAX_QUEUE, SubscriberOptions
from pyro_events._broker.net.loop import Deadline
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted, plain
from pyro_events._broker.snapshot.model import Kind, SubscriberSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter
    from pyro_events._protocol.event import Item

_MAX_LINEAGE = 100
ITEM_OVERHEAD = 64
"""Bytes that an event costs beside its subject and its message, roughly."""

_log = logging.getLogger("pyro_events")


def item_size(item: Item) -> int:
    """Return the bytes that an event counts for in a mailbox."""
    return len(item[0]) + len(item[2]) + ITEM_OVERHEAD


class BrokerSubscriber(Snapshotted):
    """A receiver of events. Subclasses know how to deliver them.

    Two numbers in the counter file outlive a killed process: how many events were ever promised to
    the subscriber (by a publish that was accepted), and how many of them are accounted for without
    its help: their loss was reported to it, or it has confirmed them in a callback. The killed
    process has cost the difference; for a stream, less the last number that it received.
    """

    kind: ClassVar[Kind]

    SNAPSHOT: ClassVar = Fields(
        "delivered", "errors", "_stalled", "_dropped_before", "_gaps_reported",
        parts=("_mailbox",),
        init=("key", "name", "slot", "options"),
        lineage=plain(list),
        options=FieldCodec(lambda options, _: options.plain()),
    )  # fmt: skip
    TRANSIENT: ClassVar[tuple[str, ...]] = (
        "context",
        "gone",  # then it isn't handed over
        "_waiting",  # empty when the broker is quiescent
        "_dirty",  # set by `restore`
    )
    HANDOVER_ONLY: ClassVar = frozenset({
        "delivered", "errors",  # the statistics of one incarnation
        "_stalled",
    })  # fmt: skip

    def __init__(
        self,
        context: DeliveryContext[BrokerSubscriber],
        key: str,
        name: str,
        options: SubscriberOptions,
        slot: int | None = None,
    ) -> None:
        self.context = context
        self.key = key
        """What identifies it among those of its kind."""
        self.name = name
        self.options = options.over(context.defaults)
        self.delivered = 0
        self.errors = 0
        self.gone = False
        self._dirty = False
        self._stalled = False
        self._waiting: deque[BlockedOffer] = deque()
        self._dropped_before = 0
        """Events that earlier mailboxes have dropped."""
        self._gaps_reported = 0
        """How many of the dropped events were reported to the subscriber."""
        self.slot = context.counter_file.claim() if slot is None else slot
        self.lineage: list[str] = []
        """Earlier incarnations that the subscriber may take for the present one."""
        self._mailbox = self._new_mailbox()

    def __str__(self) -> str:
        return self.name

    @property
    def dropped(self) -> int:
        """How many events were lost to this subscriber."""
        return self._dropped_before + self._mailbox.dropped

    @property
    def queued(self) -> int:
        """How many events it has not taken yet, those on their way included."""
        return len(self._mailbox)

    @property
    def in_flight(self) -> int:
        """Events of which only the subscriber knows whether it has handled them."""
        return 0

    @property
    def busy(self) -> bool:
        """Whether anything is under way to it."""
        return self.queued > 0

    @property
    def aware(self) -> bool:
        """Whether it can be notified of the event service's life."""
        raise NotImplementedError

    @property
    def state(self) -> str:
        """The state of its connection, in a word."""
        raise NotImplementedError

    def pump(self) -> None:
        """Send what waits, as far as the subscriber keeps up."""
        raise NotImplementedError

    def notify(self, notice: dict[str, object]) -> None:
        """Send a notice to an aware subscriber, in order with its events."""
        raise NotImplementedError

    def dismiss(self, reason: str) -> None:
        """Notify an aware subscriber that it is dropped, and hang up when it has read that."""
        raise NotImplementedError

    def close(self) -> None:
        """Release connections and timers; it takes and sends nothing any more."""
        self.gone = True
        waiting, self._waiting = self._waiting, deque()
        for offer in waiting:
            offer.forget()

    def configure(self, options: SubscriberOptions) -> None:
        """Change the options; what waits stays in the queue."""
        old = self.options
        self.options = options.over(old)
        self.context.router.set_once(self, bool(self.options.once))
        if (old.queue_size, old.when_full) != (self.options.queue_size, self.options.when_full):
            waiting = self._mailbox
            self._dropped_before += waiting.dropped
            self._mailbox = self._new_mailbox()
            for item in waiting.take(len(waiting), waiting.bytes):
                if self._mailbox.offer(item, item_size(item)) is Verdict.FULL:
                    self._mailbox.force_drop()

    # From one process to the next

    def forget_before(self, incarnation: str | None) -> None:
        """Forget the incarnations before the one that the subscriber was last in."""
        lineage, self.lineage = self.lineage, []
        if incarnation is not None and incarnation in lineage:
            self.lineage = lineage[lineage.index(incarnation) :]

    def returned(self) -> None:
        """Continue: a subscriber of the previous process has subscribed again."""

    def roster_entry(self) -> SubscriberSnapshot:
        """Return what the roster records."""
        subjects, patterns = self.context.router.subscriptions(self)
        return SubscriberSnapshot(
            kind=self.kind,
            key=self.key,
            name=self.name,
            aware=self.aware,
            subjects=subjects,
            patterns=patterns,
            options=self.options.plain(),
            lineage=list(self.lineage),
        )

    def export(self) -> SubscriberSnapshot:
        """Return what a planned restart saves; this subscriber is not changed."""
        values = self.context.counter_file.values
        return replace(
            self.roster_entry(),
            promised=values[self.slot],
            accounted=values[self.slot + 1],
            untold=self._unreported,
        )

    def adopt(self, saved: SubscriberSnapshot) -> None:
        """Continue where an earlier process has stopped."""
        values = self.context.counter_file.values
        values[self.slot], values[self.slot + 1] = saved.promised, saved.accounted
        self.lineage = saved.lineage[-_MAX_LINEAGE:]
        self._dropped_before = saved.untold

    def snapshot(self, writer: SnapshotWriter) -> dict[str, Any]:
        """Return everything, when no publisher waits; this subscriber is not changed."""
        subjects, patterns = self.context.router.subscriptions(self)
        identity = {"kind": self.kind, "subjects": subjects, "patterns": patterns}
        unmatched = self.context.router.unmatched(self)
        return {**super().snapshot(writer), **identity, "unmatched": unmatched}

    def restore(self, values: dict[str, Any], reader: SnapshotReader) -> None:
        """Continue, when the loop runs, where another process has stopped."""
        super().restore(values, reader)
        self._touch()

    def lift_limit(self) -> None:
        """Take whatever waits, however much it is: the next process continues with it."""
        self._mailbox.resize(MAX_QUEUE, MAX_QUEUE << 20)
        self._admit()

    def restore_limit(self) -> None:
        """Take no more than before `lift_limit`; what waits, waits."""
        self._mailbox.resize(self.options.queue_size or 1, self.context.settings.queue_bytes)

    # The queue

    def offer(self, items: Sequence[Item], sizes: Sequence[int]) -> int:
        """Take events, or drop them as the policy says; return how many that were.

        The rest has to wait, and its publisher with it.
        """
        if self._waiting and not self._stalled:
            return 0
        return self.accept(items, sizes)

    def accept(self, items: Sequence[Item], sizes: Sequence[int]) -> int:
        """Do the same for events whose turn it is, even if others wait."""
        taken = self._mailbox.offer_many(items, sizes)
        if taken < len(items):
            taken += self._overflow(items[taken:], sizes[taken:])
        self._touch()
        return taken

    def _overflow(self, items: Sequence[Item], sizes: Sequence[int]) -> int:
        """Handle events for which there was no room; return how many are taken or dropped."""
        if self.gone:
            return len(items)
        taken, more = 0, -1
        while more and taken < len(items):
            self.pump()
            more = self._mailbox.offer_many(items[taken:], sizes[taken:])
            taken += more
        left = len(items) - taken
        if not left:
            return taken
        policy = self.options.when_full
        if policy == "block":
            if not self._stalled:
                return taken
            self._mailbox.force_drop(left)
        elif policy == "disconnect":
            self._mailbox.force_drop(left)
            self.dismiss("full")
            self.context.drop(self, "its queue is full, and when_full is disconnect")
        else:
            for item, size in zip(items[taken:], sizes[taken:], strict=True):
                self._mailbox.offer(item, size)
        return len(items)

    def wait(self, offer: BlockedOffer) -> None:
        """Retry the offer when there is room, after those that wait already."""
        self._waiting.append(offer)

    def stall(self, offer: BlockedOffer) -> None:
        """Stop waiting for room for this offer, and block no publisher until something is taken.

        Until then, events for which there is no room are dropped.
        """
        self._waiting = deque(other for other in self._waiting if other is not offer)
        self._stalled = True
        _log.warning(
            "subscriber %s takes nothing for %g s and its queue of %d is full: events are dropped",
            self, self.context.settings.block_timeout, self.options.queue_size,
        )  # fmt: skip

    def _notify_gap(self) -> None:
        """Report, in one notice, how many events were dropped since the last one."""
        if self._dropped_before + self._mailbox.dropped > self._gaps_reported:
            self.notify({"kind": "gap", "missed": self._take_unreported(), "reason": "full"})

    @property
    def _unreported(self) -> int:
        return self.dropped - self._gaps_reported

    def _take_unreported(self) -> int:
        """Return how many events were dropped since the last time, to report them."""
        missed = self._unreported
        self._gaps_reported = self.dropped
        self._account(missed)
        return missed

    def _account(self, count: int) -> None:
        if not self.gone:  # afterwards the slot belongs to another subscriber
            self.context.counter_file.values[self.slot + 1] += count

    def _touch(self) -> None:
        if not self._dirty:
            self._dirty = True
            self.context.dirty.append(self)

    def _take(self, max_events: int) -> list[Item]:
        taken = self._mailbox.take(max_events, self.context.settings.batch_bytes)
        if taken:
            self._stalled = False
            if self._waiting:
                self.context.loop.call_soon(self._admit)
        return taken

    def _admit(self) -> None:
        while self._waiting and not self.gone:
            offer = self._waiting.popleft()
            if not offer.retry():
                self._waiting.appendleft(offer)
                break

    def _count_delivered(self, count: int) -> None:
        self.delivered += count
        self.context.counters.delivered += count

    def _new_mailbox(self) -> Mailbox[Item]:
        size, policy = self.options.queue_size, self.options.when_full
        assert size is not None
        assert policy is not None
        return Mailbox(size, self.context.settings.queue_bytes, policy)


class BlockedOffer:
    """Events of a publication that a full queue has not taken yet.

    It waits for at most `block_timeout` seconds after the queue took something the last time, and
    calls `settled` when nothing of it is left to wait for.
    """

    __slots__ = ("_deadline", "_items", "_settled", "_sizes", "_subscriber", "_timeout")

    def __init__(
        self,
        subscriber: BrokerSubscriber,
        items: Sequence[Item],
        sizes: Sequence[int],
        settled: Callable[[], None],
    ) -> None:
        self._subscriber = subscriber
        self._items = items
        self._sizes = sizes
        self._settled = settled
        self._timeout = subscriber.context.settings.block_timeout
        self._deadline = Deadline(subscriber.context.loop, self._too_late)
        self._deadline.set(self._timeout)

    def retry(self) -> bool:
        """Offer it again to the subscriber, which has room now; True when nothing is left."""
        taken = self._subscriber.accept(self._items, self._sizes)
        if taken == len(self._items):
            self.forget()
            return True
        if taken:
            self._items, self._sizes = self._items[taken:], self._sizes[taken:]
            self._deadline.set(self._timeout)
        return False

    def forget(self) -> None:
        """Wait no longer for that subscriber."""
        self._deadline.cancel()
        self._settled()

    def _too_late(self) -> None:
        self._subscriber.stall(self)
        self._subscriber.accept(self._items, self._sizes)
        self.forget()
