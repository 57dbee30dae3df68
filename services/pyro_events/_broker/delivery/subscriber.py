"""What both kinds of subscribers have in common: a mailbox, its policy, and counters."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pyro_events._broker.delivery.mailbox import Mailbox
from pyro_events._broker.net.loop import Deadline
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted, plain
from pyro_events._broker.snapshot.model import Kind, SubscriberSnapshot

if TYPE_CHECKING:
    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.delivery.held_offer import HeldOffer
    from pyro_events._broker.delivery.items import Load
    from pyro_events._broker.delivery.options import SubscriberOptions
    from pyro_events._broker.delivery.patience import Patience
    from pyro_events._broker.principal import Principal
    from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter
    from pyro_events._protocol.event import Item, Queued
    from pyro_events.types import WhenFull

_MAX_LINEAGE = 100
_LOG_PAUSE = 60.0
"""Seconds in which it is logged once that events are dropped for a subscriber."""
_publish_time = itemgetter(1)
_log = logging.getLogger("pyro_events")


class BrokerSubscriber(Snapshotted):
    """A receiver of events. Subclasses know how to deliver them.

    Three numbers in the counter file outlive a killed process: how many events were ever promised
    to the subscriber (by a publish that was accepted), how many of them are accounted for, since
    their loss was reported to it, and the last number that it has acknowledged. The killed process
    has cost the rest, unless accepted events are kept; for a stream, less what it has received.
    """

    kind: ClassVar[Kind]

    SNAPSHOT: ClassVar = Fields(
        "delivered", "errors", "_patience_used", "_dropped_before", "_gaps_reported",
        parts=("_mailbox",),
        init=("key", "name", "owner", "slot", "options"),
        lineage=plain(list),
        options=FieldCodec(lambda options, _: options.plain()),
    )  # fmt: skip
    TRANSIENT: ClassVar[tuple[str, ...]] = (
        "context",
        "gone",  # then it isn't handed over
        "_held", "_stuck",  # nothing is held when the broker is quiescent
        "_silent_until",  # nor does it matter what was logged
        "_dirty",  # set by `restore`
    )  # fmt: skip
    HANDOVER_ONLY: ClassVar = frozenset({
        "delivered", "errors",  # the statistics of one incarnation
        "_patience_used",
    })  # fmt: skip

    def __init__(
        self,
        context: DeliveryContext[BrokerSubscriber],
        key: str,
        name: str,
        owner: Principal,
        options: SubscriberOptions,
        slot: int | None = None,
    ) -> None:
        self.context = context
        self.key = key
        """What identifies it among those of its kind; others than the owner must not learn it."""
        self.name = name
        self.owner = owner
        """The client that has subscribed, and may change that."""
        self.options = options.over(context.defaults)
        self.delivered = 0
        self.errors = 0
        self.gone = False
        self._dirty = False
        self._patience_used = 0.0
        """Seconds for which publishers were held since the queue was less than half full; those
        that have no more patience are not held again before that."""
        self._silent_until = 0.0
        """Until then it isn't logged that events are dropped."""
        self._held: deque[HeldOffer] = deque()
        self._stuck = Deadline(context.loop, self._is_stuck)
        """When it has taken nothing for too long, although publishers wait."""
        self._dropped_before = 0
        """Events that earlier mailboxes have dropped."""
        self._gaps_reported = 0
        """How many of the dropped events were reported to the subscriber."""
        self.slot = context.counter_file.claim() if slot is None else slot
        self.lineage: list[str] = []
        """Earlier incarnations that the subscriber may take for the present one."""
        settings = context.settings
        self._mailbox: Mailbox[Queued] = Mailbox(
            self._queue_size, settings.queue_bytes, context.shared_room
        )

    def __str__(self) -> str:
        return self.name

    @property
    def dropped(self) -> int:
        """How many events were lost to this subscriber."""
        return self._dropped_before + self._mailbox.dropped

    @property
    def queued(self) -> int:
        """How many events it has not taken yet, those on their way included."""
        return len(self._mailbox) + self._mailbox.away

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
    def broken(self) -> bool:
        """Whether its connection is gone, so that it takes nothing unless it comes back."""
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
        self._stuck.cancel()
        held, self._held = self._held, deque()
        for offer in held:
            offer.end()
        self._mailbox.clear()

    def configure(self, options: SubscriberOptions) -> None:
        """Change the options; what waits stays in the queue, as far as there is room."""
        old, self.options = self.options, options.over(self.options)
        self.context.router.set_once(self, bool(self.options.once))
        if old.queue_size != self.options.queue_size:
            self._mailbox.resize(self._queue_size, self._policy)
            self._cut_kept()

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
            owner=self.owner,
            slot=self.slot,
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
        values[self.slot + 2] = saved.acked
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
        self._mailbox.set_unbounded(True)
        self._admit()

    def restore_limit(self) -> None:
        """Take no more than before `lift_limit`; what waits, waits."""
        self._mailbox.set_unbounded(False)

    # The queue

    def offer(self, load: Load, patience: Patience) -> int:
        """Take events, or drop some as the policy says; return how many need no more attention.

        The publisher, which has this patience, has to `hold` the rest.
        """
        if self._held:
            self._admit()  # these were first
        taken = 0 if self._held else self.fill(load)
        if taken < load.events and not self._deserves(patience):
            self.overflow(load.after(taken))
            taken = load.events
        self._touch()
        return taken

    def has_room(self, size: int) -> bool:
        """Return whether an event of that size has room, and nobody waits for some."""
        return not self._held and not self.gone and self._mailbox.fits(1, size)

    def put(self, item: Item, size: int) -> None:
        """Take an event for which there is room."""
        self._mailbox.put(item, size)
        if not self._dirty:
            self._dirty = True
            self.context.dirty.append(self)

    def _deserves(self, patience: Patience) -> bool:
        """Return whether a publisher should wait; for a broken connection only an endless one."""
        return patience.left() > self._patience_used and (patience.endless or not self.broken)

    def fill(self, load: Load) -> int:
        """Take events as far as there is room, and runs as a whole; return how many."""
        taken = self._mailbox.offer(*load, whole=True)
        if taken < load.events:
            self.pump()  # when nothing waits, there is room for one
            taken += self._mailbox.offer(*load.after(taken), whole=True)
        return taken

    def overflow(self, load: Load) -> None:
        """Apply the policy to events for which there is no room."""
        if not self._held:  # there may be room for a part of a run
            load = load.after(self._mailbox.offer(*load))
            if not load.events:
                return
        policy = self._policy
        now = self.context.loop.clock()
        if now >= self._silent_until:
            self._silent_until = now + _LOG_PAUSE
            _log.warning(
                "subscriber %s is too slow, and its queue is full (%s): events are dropped "
                "(when_full is %s)", self, self._mailbox.bound(), policy,
            )  # fmt: skip
        self._mailbox.overflow(load.items, load.sizes, policy, load.events)
        self._cut_kept()
        if policy == "disconnect":
            self.dismiss("full")
            self.context.drop(self, "its queue is full, and when_full is disconnect")
        else:
            self._touch()

    def hold(self, offer: HeldOffer) -> None:
        """Retry the offer when there is room, after those that are held already."""
        if not self._held:
            self._stuck.set(self.context.settings.stuck_timeout)
        self._held.append(offer)

    def give_up(self, offer: HeldOffer) -> None:
        """Hold the offer no longer: its publisher's patience is used up."""
        self._held.remove(offer)
        self._end_in_vain(offer)

    def _connection_broke(self) -> None:
        """Hold only those that wait as long as it takes: the subscriber may come back."""
        held, self._held = self._held, deque(each for each in self._held if each.endless)
        for offer in held:
            if not offer.endless:
                self._end_in_vain(offer)

    def use_patience(self, seconds: float) -> None:
        """Record for how long a publisher was held."""
        self._patience_used += seconds

    def _is_stuck(self) -> None:
        self._patience_used = inf
        held, self._held = self._held, deque()
        for offer in held:
            self._end_in_vain(offer)

    def _end_in_vain(self, offer: HeldOffer) -> None:
        self.context.counters.gave_up += 1
        if not self._held:
            self._stuck.clear()
        offer.end()

    def _admit(self) -> None:
        """Take what is held, as far as there is room."""
        while self._held:
            offer = self._held.popleft()
            if not offer.retry():
                self._held.appendleft(offer)
                return
        self._stuck.clear()

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

    def _note_acknowledged(self, number: int) -> None:
        if not self.gone:
            self.context.counter_file.values[self.slot + 2] = number

    def _cut_kept(self) -> None:
        """Record that something was dropped, or has overtaken what waited longer."""
        if self.context.accepted is not None:
            self.context.accepted.cut(self.slot)

    def _touch(self) -> None:
        if not self._dirty:
            self._dirty = True
            self.context.dirty.append(self)

    def _take(self, max_events: int) -> list[Queued]:
        return self._mailbox.take(max_events, self.context.settings.batch_bytes, _publish_time)

    def _settle(self, count: int, size: int) -> None:
        """Forget events that were on their way, and the size of all of them."""
        if self.gone:
            return
        self._mailbox.settle(count, size)
        if self._held:
            self._stuck.set(self.context.settings.stuck_timeout)
            self.context.loop.call_soon(self._admit)
        elif self._patience_used and self._mailbox.is_roomy():
            self._patience_used = 0.0

    def _count_delivered(self, count: int) -> None:
        self.delivered += count
        self.context.counters.delivered += count

    @property
    def _policy(self) -> WhenFull:
        return cast("WhenFull", self.options.when_full)

    @property
    def _queue_size(self) -> int:
        return cast("int", self.options.queue_size)
