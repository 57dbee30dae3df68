"""What both kinds of subscribers have in common: a mailbox, its policy, and counters."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from pyro_events._broker.delivery.mailbox import Mailbox, Verdict
from pyro_events._broker.snapshot.model import Kind, SubscriberSnapshot
from pyro_events.types import WhenFull

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.encoder import Item
    from pyro_events._broker.delivery.publication import BlockedOffer
    from pyro_events._broker.settings import Settings
    from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter

_MAX_QUEUE = 10_000_000
_MAX_LINEAGE = 100
ITEM_OVERHEAD = 64
"""Bytes that an event costs beside its subject and its message, roughly."""


def item_size(item: Item) -> int:
    """Give what an event counts for in a mailbox."""
    return len(item[0]) + len(item[2]) + ITEM_OVERHEAD


@dataclass(frozen=True, slots=True)
class Options:
    """How a subscriber wants its events; None leaves it as it is, at first the default."""

    as_dict: bool | None = None
    once: bool | None = None
    when_full: WhenFull | None = None
    queue_size: int | None = None

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError that names the option, for whatever a client sent."""
        for name in ("as_dict", "once"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False, not {value!r:.60}")
        if self.when_full is not None and self.when_full not in get_args(WhenFull):
            choices = ", ".join(get_args(WhenFull))
            raise ValueError(f"when_full must be one of {choices}, not {self.when_full!r:.60}")
        size = self.queue_size
        if size is not None and (isinstance(size, bool) or not isinstance(size, int)):
            raise TypeError(f"queue_size must be a number of events, not {size!r:.60}")
        if size is not None and not 1 <= size <= _MAX_QUEUE:
            raise ValueError(f"queue_size must be from 1 to {_MAX_QUEUE}, not {size}")

    @property
    def complete(self) -> bool:
        """Whether they leave nothing as it is."""
        return None not in (self.as_dict, self.once, self.when_full, self.queue_size)

    def plain(self) -> dict[str, object]:
        """Give them by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def over(self, old: Options) -> Options:
        """Give the old options, changed where these say something."""
        changes = {name: getattr(self, name) for name in self.__slots__}
        return replace(old, **{name: value for name, value in changes.items() if value is not None})


class BrokerSubscriber:
    """Somebody who gets events. Subclasses know how to deliver them.

    Two numbers in the tallies outlive a process that is killed: how many events were ever promised
    to the subscriber (by a publish that was taken), and how many of them are accounted for without
    it: it was told that they are lost, or has confirmed them itself, in a callback. What the
    killed process has cost is the difference, for a stream less its own delivery number.
    """

    kind: ClassVar[Kind]

    def __init__(self, hub: Broker, name: str, options: Options, slot: int | None = None) -> None:
        self.hub = hub
        self.name = name
        self.options = options if options.complete else options.over(_defaults(hub.settings))
        self.delivered = 0
        self.errors = 0
        self.gone = False
        self._dirty = False
        self._stalled = False
        self._waiting: deque[BlockedOffer] = deque()
        self._dropped_before = 0
        self._gaps_told = 0
        self.slot = hub.tallies.claim() if slot is None else slot
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
    def flying(self) -> int:
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
        subjects, patterns = self.hub.router.subscriptions(self)
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
        values = self.hub.tallies.values
        return replace(
            self.standing(),
            promised=values[self.slot],
            accounted=values[self.slot + 1],
            untold=self._untold,
        )

    def restore(self, standing: SubscriberSnapshot) -> None:
        """Go on from where another process has stopped."""
        values = self.hub.tallies.values
        values[self.slot], values[self.slot + 1] = standing.promised, standing.accounted
        self.lineage = standing.lineage[-_MAX_LINEAGE:]
        self._dropped_before = standing.untold

    def lift_limit(self) -> None:
        """Take whatever waits, however much it is: the next process will go on with it."""
        self._mailbox.resize(_MAX_QUEUE, _MAX_QUEUE << 20)
        self._admit()

    def restore_limit(self) -> None:
        """Take no more than before `lift_limit`; what waits, waits."""
        self._mailbox.resize(self.options.queue_size or 1, self.hub.settings.queue_bytes)

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
        self.hub.router.set_once(self, bool(self.options.once))
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
            self.hub.drop(self, "its queue is full, and when_full is disconnect")
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
            self.hub.tallies.values[self.slot + 1] += count

    def _touch(self) -> None:
        if not self._dirty:
            self._dirty = True
            self.hub.dirty.append(self)

    def _take(self, max_events: int) -> list[Item]:
        taken = self._mailbox.take(max_events, self.hub.settings.batch_bytes)
        if taken:
            self._stalled = False
            if self._waiting:
                self.hub.loop.call_soon(self._admit)
        return taken

    def _admit(self) -> None:
        while self._waiting and not self.gone:
            rest = self._waiting.popleft()
            if not rest.retry():
                self._waiting.appendleft(rest)
                break

    def _count_delivered(self, count: int) -> None:
        self.delivered += count
        self.hub.counters.delivered += count

    def _new_mailbox(self) -> Mailbox[Item]:
        size, policy = self.options.queue_size, self.options.when_full
        assert size is not None
        assert policy is not None
        return Mailbox(size, self.hub.settings.queue_bytes, policy)


def _defaults(settings: Settings) -> Options:
    return Options(False, False, settings.when_full, settings.queue_size)
