"""What both kinds of subscribers have in common: a mailbox, its policy, and counters."""

from __future__ import annotations

import logging
from array import array
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_events._broker.delivery.mailbox import Mailbox, Verdict
from pyro_events._broker.delivery.options import MAX_QUEUE, Options, defaults
from pyro_events._broker.net.loop import Deadline
from pyro_events._broker.snapshot.model import Kind, SubscriberSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter
    from pyro_events._protocol.event import Item

_MAX_LINEAGE = 100
ITEM_OVERHEAD = 64
"""Bytes that an event costs beside its subject and its message, roughly."""


_log = logging.getLogger("pyro_events")


def item_size(item: Item) -> int:
    """Give what an event counts for in a mailbox."""
    return len(item[0]) + len(item[2]) + ITEM_OVERHEAD


class BrokerSubscriber:
    """Somebody who gets events. Subclasses know how to deliver them.

    Two numbers in the counter file outlive a killed process: how many events were ever promised
    to the subscriber (by a publish that was taken), and how many of them are accounted for without
    it: it was told that they are lost, or has confirmed them itself, in a callback. What the
    killed process has cost is the difference, for a stream less its own delivery number.
    """

    kind: ClassVar[Kind]

    def __init__(
        self,
        context: DeliveryContext[BrokerSubscriber],
        name: str,
        options: Options,
        slot: int | None = None,
    ) -> None:
        self.context = context
        self.name = name
        self.options = options if options.complete else options.over(defaults(context.settings))
        self.delivered = 0
        self.errors = 0
        self.gone = False
        self._dirty = False
        self._stalled = False
        self._waiting: deque[BlockedOffer] = deque()
        self._dropped_before = 0
        self._gaps_told = 0
        self.slot = context.counter_file.claim() if slot is None else slot
        self.lineage: list[str] = []
        """Earlier incarnations in which the subscriber may still believe."""
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
    def key(self) -> str:
        """What it is known by."""
        raise NotImplementedError

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
        """Whether it can be told about the event service's life."""
        raise NotImplementedError

    @property
    def state(self) -> str:
        """How its connection is, in a word."""
        raise NotImplementedError

    def pump(self) -> None:
        """Send what waits, as far as the subscriber keeps up."""
        raise NotImplementedError

    def notify(self, notice: dict[str, object]) -> None:
        """Tell an aware subscriber something, in order with its events."""
        raise NotImplementedError

    def dismiss(self, reason: str) -> None:
        """Tell an aware subscriber that it is dropped, and hang up when it has read that."""
        raise NotImplementedError

    def believes(self, incarnation: str | None) -> None:
        """Forget incarnations before the one that the subscriber was last in."""
        lineage, self.lineage = self.lineage, []
        if incarnation is not None and incarnation in lineage:
            self.lineage = lineage[lineage.index(incarnation) :]

    def returned(self) -> None:
        """Learn that somebody whom the last process has left behind is here again."""

    def standing(self) -> SubscriberSnapshot:
        """Say what the roster has to know."""
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
        """Say everything that another process needs to go on; nothing changes here."""
        values = self.context.counter_file.values
        return replace(
            self.standing(),
            promised=values[self.slot],
            accounted=values[self.slot + 1],
            untold=self._untold,
        )

    def restore(self, standing: SubscriberSnapshot) -> None:
        """Go on from where another process has stopped."""
        values = self.context.counter_file.values
        values[self.slot], values[self.slot + 1] = standing.promised, standing.accounted
        self.lineage = standing.lineage[-_MAX_LINEAGE:]
        self._dropped_before = standing.untold

    def lift_limit(self) -> None:
        """Take whatever waits, however much it is: the next process will go on with it."""
        self._mailbox.resize(MAX_QUEUE, MAX_QUEUE << 20)
        self._admit()

    def restore_limit(self) -> None:
        """Take no more than before `lift_limit`; what waits, waits."""
        self._mailbox.resize(self.options.queue_size or 1, self.context.settings.queue_bytes)

    def hand_over(self, sender: SnapshotWriter) -> dict[str, Any]:
        """Say everything, when nobody waits for room; this subscriber goes on all the same."""
        return {
            "standing": self.standing().plain(),
            "slot": self.slot,
            "delivered": self.delivered,
            "errors": self.errors,
            "stalled": self._stalled,
            "dropped": self.dropped,
            "gaps_told": self._gaps_told,
            "mailbox": sender.share(list(self._mailbox)),
            "sizes": array("Q", self._mailbox.sizes()).tobytes(),
        }

    def take_over(self, receiver: SnapshotReader, values: Mapping[str, Any]) -> None:
        """Go on, when the loop runs, from what another process has handed over."""
        self.lineage = list(values["standing"].get("lineage", ()))
        self.delivered, self.errors = values["delivered"], values["errors"]
        self._stalled = values["stalled"]
        self._dropped_before, self._gaps_told = values["dropped"], values["gaps_told"]
        if items := receiver.shared(values["mailbox"]):
            self.lift_limit()
            self._mailbox.offer_many(items, array("Q", values["sizes"]))
            self.restore_limit()
        self._touch()

    def close(self) -> None:
        """Release connections and timers; it takes and sends nothing any more."""
        self.gone = True
        waiting, self._waiting = self._waiting, deque()
        for rest in waiting:
            rest.forget()

    def configure(self, options: Options) -> None:
        """Change the options; what waits goes on waiting."""
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

    def offer(self, items: Sequence[Item], sizes: Sequence[int]) -> int:
        """Take events, or lose them as the policy says; gives how many that were.

        What is left over has to wait, and its publisher with it.
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
        """Deal with events for which there was no room; gives how many are dealt with."""
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

    def wait(self, rest: BlockedOffer) -> None:
        """Have it tried again when there is room, after what waits already."""
        self._waiting.append(rest)

    def unwait(self, rest: BlockedOffer) -> None:
        """Forget about it."""
        self._waiting = deque(other for other in self._waiting if other is not rest)

    def stall(self) -> None:
        """Hold nobody until something is taken again: what there is no room for is dropped."""
        self._stalled = True

    def _tell_gap(self) -> None:
        """Tell, in one notice, how many events were dropped since the last one."""
        if self._dropped_before + self._mailbox.dropped > self._gaps_told:
            self.notify({"kind": "gap", "missed": self._take_untold(), "reason": "full"})

    @property
    def _untold(self) -> int:
        return self.dropped - self._gaps_told

    def _take_untold(self) -> int:
        """Give how many events were dropped since the last time; the subscriber will hear of it."""
        missed = self._untold
        self._gaps_told = self.dropped
        self._account(missed)
        return missed

    def _account(self, count: int) -> None:
        if not self.gone:  # afterwards the slot is somebody else's
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
            rest = self._waiting.popleft()
            if not rest.retry():
                self._waiting.appendleft(rest)
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
    """What a full queue has not taken of a run yet.

    It waits for at most `block_timeout` seconds after the queue took something the last time.
    """

    __slots__ = ("_deadline", "_items", "_settled", "_sizes", "_subscriber")

    def __init__(
        self,
        subscriber: BrokerSubscriber,
        items: list[Item],
        sizes: list[int],
        settled: Callable[[], None],
    ) -> None:
        self._subscriber = subscriber
        self._items = items
        self._sizes = sizes
        self._settled = settled
        self._deadline = Deadline(subscriber.context.loop, self._too_late)
        self._put_off()

    def retry(self) -> bool:
        """Offer it again to the subscriber, which has room now; True when nothing is left."""
        taken = self._subscriber.accept(self._items, self._sizes)
        if taken == len(self._items):
            self.forget()
            return True
        if taken:
            self._items, self._sizes = self._items[taken:], self._sizes[taken:]
            self._put_off()
        return False

    def forget(self) -> None:
        """Wait no longer for that subscriber."""
        self._deadline.cancel()
        self._settled()

    def _put_off(self) -> None:
        self._deadline.set(self._subscriber.context.settings.block_timeout)

    def _too_late(self) -> None:
        subscriber = self._subscriber
        subscriber.unwait(self)
        subscriber.stall()
        _log.warning(
            "subscriber %s takes nothing for %g s and its queue of %d is full: events are dropped",
            subscriber, subscriber.context.settings.block_timeout, subscriber.options.queue_size,
        )  # fmt: skip
        subscriber.accept(self._items, self._sizes)
        self.forget()
