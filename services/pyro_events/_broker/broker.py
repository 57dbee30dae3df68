"""The subscribers, what is published to them, and what has to be sent in this round."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, cast

from Pyro5.errors import PyroError

from pyro_events._broker.access import Access
from pyro_events._broker.callback_guard import CallbackGuard
from pyro_events._broker.compiler import PatternCompiler, notify_of_patterns
from pyro_events._broker.delivery.callback.disconnect_notifier import DisconnectNotifier
from pyro_events._broker.delivery.callback.failure_limit import FailureLimit
from pyro_events._broker.delivery.callback.subscriber import CallbackSubscriber
from pyro_events._broker.delivery.context import DeliveryContext
from pyro_events._broker.delivery.mailbox import SharedRoom
from pyro_events._broker.delivery.options import SubscriberOptions
from pyro_events._broker.delivery.patience import Patience
from pyro_events._broker.delivery.publication import Publication
from pyro_events._broker.delivery.stream import StreamSubscriber
from pyro_events._broker.principal import Principal, share_of
from pyro_events._broker.publishers import Publishers
from pyro_events._broker.recovery.reconnects import ReconnectTracker
from pyro_events._broker.router import Router
from pyro_events._broker.snapshot import journal
from pyro_events._broker.snapshot.accepted import AcceptedEvents
from pyro_events._broker.snapshot.counters import CounterFile
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted
from pyro_events._broker.snapshot.model import Callee
from pyro_events._protocol.decode_limits import LimitReached
from pyro_events._protocol.patterns import Pattern
from pyro_events._protocol.subjects import check_patterns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyro_events._broker.delivery.callback.connection import CallbackTls
    from pyro_events._broker.delivery.publication import PendingResult
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.net.dialer import Resolver
    from pyro_events._broker.net.loop import Loop
    from pyro_events._broker.net.socket_owner import SocketOwners
    from pyro_events._broker.publishers import PublisherRecord
    from pyro_events._broker.recovery.roster_store import RosterStore
    from pyro_events._broker.rejections import RejectionCounters
    from pyro_events._broker.rules import Rule
    from pyro_events._broker.settings import Settings
    from pyro_events._broker.snapshot.model import (
        BrokerSnapshot,
        LostSubscriber,
        SubscriberSnapshot,
    )
    from pyro_events._broker.snapshot.ring import Ring
    from pyro_events._broker.snapshot.transfer import SnapshotReader
    from pyro_events._protocol.event import Item, Queued

_LEAVING = 1000
_COMPILING = 1.0
"""Seconds for the patterns that are being compiled at a handover."""
_PAUSE = 0.002
"""Seconds without a publish after which an event counts as a single one."""

_log = logging.getLogger("pyro_events")

_NAMED = FieldCodec(lambda named, writer: [each.snapshot(writer) for each in named.values()])


class Broker(Snapshotted):
    """Moves published events into mailboxes, and from mailboxes onto connections.

    `lost` lists plain subscribers that a crash has cost, `more_slots` counts those of an earlier
    process that have to fit in addition to ours.
    """

    SNAPSHOT: ClassVar = Fields(
        parts=("context", "counter_file", "publishers", "reconnects"),
        init=("callbacks", "streams", "lost"),
        callbacks=_NAMED,
        streams=_NAMED,
        lost=FieldCodec(lambda lost, _: [each.plain() for each in lost]),
    )
    TRANSIENT: ClassVar = (
        "loop", "settings", "identity", "version", "store",
        "rejections",  # the engine's
        "router", "counters",  # the context's
        "access", "compiler", "guard",  # they have nothing to do when the broker is quiescent
        "_held",  # it follows from the subscribers
        "_last_publish",  # a matter of milliseconds
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        identity: dict[str, str],
        version: str,
        store: RosterStore | None,
        *,
        owners: SocketOwners,
        resolver: Resolver,
        rejections: RejectionCounters,
        lost: list[LostSubscriber],
        more_slots: int = 0,
        ring: Ring | None = None,
        tls: CallbackTls | None = None,
    ) -> None:
        self.loop = loop
        self.settings = settings
        self.identity = identity
        self.version = version
        self.store = store
        self.rejections = rejections
        self.lost = lost
        room = slots(settings) + more_slots
        self.counter_file = store.counter_file if store else CounterFile.in_memory(room)
        defaults = SubscriberOptions(False, False, settings.when_full, settings.queue_size)
        self.router: Router[BrokerSubscriber] = Router(
            loop.clock, time.thread_time, lambda subscriber: (subscriber.kind, subscriber.key),
            lambda subscriber: subscriber.owner.account,
        )  # fmt: skip
        self.context: DeliveryContext[BrokerSubscriber] = DeliveryContext(
            loop, owners, FailureLimit(loop.clock, settings.callback_failures), settings, defaults,
            identity, self.counter_file, self.router,
            drop=self.drop, record=self.record, flush_if_idle=self._flush_if_idle,
            shared_room=SharedRoom(settings.max_queued_bytes), tls=tls,
            accepted=None if ring is None else AcceptedEvents(ring, self.counter_file),
        )  # fmt: skip
        self.access = Access(cast("tuple[Rule, ...]", settings.allow), self.router)
        self.compiler = PatternCompiler(loop, self.router.compiled)
        self.guard = CallbackGuard(self.context, resolver)
        self.counters = self.context.counters
        self.callbacks: dict[str, CallbackSubscriber] = {}
        self.streams: dict[str, StreamSubscriber] = {}
        self._held: Counter[Principal] = Counter()
        """How many subscribers each account has."""
        self._last_publish = 0.0
        self.publishers = Publishers(loop.clock, settings, self.counter_file, store)
        self.reconnects = ReconnectTracker(loop)
        loop.after_round.append(self.pump)
        if store is not None:
            loop.after_round.append(store.flush)

    def check_subscribers(self, principal: Principal) -> None:
        """Raise LimitReached if there is no room for one more subscriber of that principal."""
        limit = self.settings.max_subscribers
        if len(self.callbacks) + len(self.streams) >= limit:
            raise LimitReached(
                "max_subscribers",
                f"the event service has its {limit} subscribers (max_subscribers)",
            )
        share = share_of(limit)
        if self._held[principal.account] >= share:
            raise LimitReached(
                "max_subscribers",
                f"{principal.account} has {share} subscribers, its share of max_subscribers",
            )

    def subscribers(self) -> Iterator[BrokerSubscriber]:
        """Yield all subscribers, oldest first within each kind."""
        yield from list(self.callbacks.values())
        yield from list(self.streams.values())

    # Publishing

    def publish(
        self, items: Sequence[Queued], patience: Patience, publisher: PublisherRecord | None = None
    ) -> PendingResult:
        """Put the events into the queues, in order; the result is done when all are there.

        It waits for full queues as long as `patience` allows.
        """
        if self.context.accepted is not None:
            self.flush_roster()  # what is kept has to be known by more than its slot
        publication = Publication(self.context, items, patience, source=publisher)
        self.counters.published += publication.accepted
        self.rejections.add("reserved", publication.refused)
        if publisher is not None:
            self.publishers.keep(publisher)  # after the promise: a kill in between loses nothing
        publication.advance()
        return publication

    def announce(self, items: Sequence[Item]) -> None:
        """Publish events of the manager, which don't count as published by clients."""
        self.counters.announced += len(items)
        at_once = Patience(0.0, self.loop.clock)
        Publication(self.context, items, at_once, of_manager=True).advance()

    def _flush_if_idle(self) -> None:
        """Send what was published after a pause at once, before its publisher is answered.

        While publishes follow each other closely, their publishers are answered first, and the
        events of a round leave together.
        """
        now = self.loop.clock()
        pause, self._last_publish = now - self._last_publish, now
        if pause > _PAUSE:
            self.pump()

    def pump(self) -> None:
        """Send what this round has brought; the loop calls it after each round."""
        context = self.context
        if context.dirty:
            dirty, context.dirty = context.dirty, []
            for subscriber in dirty:
                subscriber.pump()
            context.encoder.trim()
        if self.router.notices:
            notify_of_patterns(self.router)

    # Subscribers

    def callback(
        self, callee: Callee, owner: Principal, options: SubscriberOptions
    ) -> CallbackSubscriber:
        """Return the subscriber at that address, a new one of that owner if need be."""
        subscriber = self.callbacks.get(callee.uri)
        if subscriber is None:
            subscriber = CallbackSubscriber(self.context, callee, owner, options)
            self._add(subscriber)
        subscriber.move(callee)
        subscriber.configure(options)
        self.reconnects.returned(subscriber)
        subscriber.returned()
        return subscriber

    def stream(
        self, subscriber_id: str, name: str, owner: Principal, options: SubscriberOptions
    ) -> StreamSubscriber:
        """Return a new stream subscriber, which replaces one of the same id."""
        old = self.streams.get(subscriber_id)
        if old is not None:
            old.hang_up("the subscriber came back over another connection")
            self.remove(old)
        subscriber = StreamSubscriber(self.context, subscriber_id, name, owner, options)
        self._add(subscriber)
        subscriber.configure(options)
        return subscriber

    def remove(self, subscriber: BrokerSubscriber) -> None:
        """Remove a subscriber that has unsubscribed, or has no subscription left."""
        if subscriber.gone:
            return
        subscriber.close()
        self.counter_file.release(subscriber.slot)
        if self.store is not None:
            self.store.forget(subscriber.slot)
        self.reconnects.given_up(subscriber)
        self.counters.dropped_with_subscriber += subscriber.dropped
        self.router.remove(subscriber)
        account = subscriber.owner.account
        self._held[account] -= 1
        if not self._held[account]:
            del self._held[account]
        if isinstance(subscriber, StreamSubscriber):
            del self.streams[subscriber.key]
        else:
            del self.callbacks[subscriber.key]

    def drop(self, subscriber: BrokerSubscriber, reason: str) -> None:
        """Remove a subscriber that can't be served; what was queued for it is counted as lost."""
        if subscriber.gone:
            return
        lost = subscriber.queued
        subjects, patterns = self.router.subscriptions(subscriber)
        _log.warning(
            "subscriber %s is dropped: %s; subjects %s, patterns %s, %d events lost",
            subscriber, reason, subjects, patterns, lost,
        )  # fmt: skip
        self.counters.dropped_with_subscriber += lost
        self.counters.dropped_unsent += lost
        self.remove(subscriber)

    def close(self) -> None:
        """Release what belongs to subscribers."""
        for subscriber in self.subscribers():
            subscriber.close()
        for notifier in list(self.context.notifiers):
            notifier.close()

    # The roster

    def record(self, subscriber: BrokerSubscriber) -> None:
        """Write the subscriber's present state to the roster, at the end of the round."""
        if self.store is not None and not subscriber.gone:
            slot = subscriber.slot
            self.store.note(slot, lambda: journal.has(slot, subscriber.roster_entry()))

    def flush_roster(self) -> None:
        """Write the roster's changes, before a client is told of them."""
        if self.store is not None and self.store.changes:
            self.store.flush()

    # From one process to the next

    def resume(self, past: BrokerSnapshot) -> None:
        """Make the subscribers of an earlier process that can come back, and expect them."""
        for saved in past.subscribers:
            if not saved.aware:
                continue
            try:
                subscriber = self._adopt(saved)
            except (TypeError, ValueError, PyroError) as error:
                _log.error("subscriber %s can't be restored: %s", saved.name, error)
                continue
            subscriber.notify({"kind": "restarted", "reason": past.reason})
        self.publishers.adopt(past.publishers)
        if self.context.accepted is not None:
            slots = {(each.kind, each.key): each.slot for each in self.subscribers()}
            self.context.accepted.begin(self.identity["incarnation"], past, slots)
        if past.subscribers or past.lost:
            _log.info(
                "after a %s: %d subscribers are expected back",
                past.reason, self.reconnects.expected,
            )  # fmt: skip

    def _adopt(self, saved: SubscriberSnapshot) -> BrokerSubscriber:
        patterns = check_patterns(saved.patterns) if saved.patterns else ()
        options = SubscriberOptions.saved(saved.options)
        subscriber = self._make(saved.key, saved.name, saved.owner, saved.callee, options)
        subscriber.adopt(saved)
        subscriber.configure(options)
        self.router.subscribe(subscriber, saved.subjects)
        self.router.subscribe_match(subscriber, patterns)
        self.reconnects.expect(subscriber)
        self.record(subscriber)
        return subscriber

    def _make(
        self,
        key: str,
        name: str,
        owner: Principal,
        callee: Callee | None,
        options: SubscriberOptions,
        slot: int | None = None,
    ) -> BrokerSubscriber:
        made: StreamSubscriber | CallbackSubscriber
        if callee is None:
            made = StreamSubscriber(self.context, key, name, owner, options, slot)
        else:
            made = CallbackSubscriber(self.context, callee, owner, options, slot)
        self._add(made)
        return made

    def _add(self, subscriber: StreamSubscriber | CallbackSubscriber) -> None:
        self._held[subscriber.owner.account] += 1
        if isinstance(subscriber, StreamSubscriber):
            self.streams[subscriber.key] = subscriber
        else:
            self.callbacks[subscriber.key] = subscriber

    def quiesce(self) -> None:
        """Reach a point where no publisher waits for room and nothing is half done.

        Publishers blocked on a full queue are released. Reads nothing.
        """
        self.guard.settle()
        self.compiler.settle(_COMPILING)
        for subscriber in self.subscribers():
            subscriber.lift_limit()
        while self.loop.pending or self.context.dirty:
            self.loop.run_pending()
            self.pump()
        for subscriber in self.subscribers():
            subscriber.restore_limit()
        if self.store is not None:
            self.store.flush()

    def restore(self, values: dict[str, Any], reader: SnapshotReader) -> None:
        """Continue where another process has stopped; nothing may have happened here yet."""
        for each in (*values["callbacks"], *values["streams"]):
            options = SubscriberOptions.saved(each["options"])
            callee = Callee(*each["_daemon"]["callee"]) if "_daemon" in each else None
            owner = Principal(*each["owner"])
            made = self._make(each["key"], each["name"], owner, callee, options, each["slot"])
            self.router.set_once(made, bool(options.once))
            self.router.subscribe(made, each["subjects"])
            patterns = [reader.patterns.get(text) or Pattern(text) for text in each["patterns"]]
            self.router.subscribe_match(made, patterns)
            self.router.restore_unmatched(made, each["unmatched"])
            made.restore(each, reader)
        super().restore(values, reader)
        if self.context.accepted is not None:
            self.context.accepted.go_on()
        self.router.restore_charges(values["context"]["router"])
        for each in values["context"]["notifiers"]:
            callee = Callee(*each["daemon"]["callee"])
            DisconnectNotifier(self.context, callee, {}).restore(each, reader)


def slots(settings: Settings) -> int:
    """Return how many subscribers and publishers there may be, those just leaving included."""
    return settings.max_subscribers + settings.max_publishers + _LEAVING
