"""Who is subscribed, what was published, and what has to be sent in this round."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from Pyro5.core import URI
from Pyro5.errors import PyroError

from pyro_events._broker.delivery.callback.disconnect_notifier import DisconnectNotifier
from pyro_events._broker.delivery.callback.subscriber import CallbackSubscriber
from pyro_events._broker.delivery.context import Counters, DeliveryContext
from pyro_events._broker.delivery.options import Options
from pyro_events._broker.delivery.publication import Publication
from pyro_events._broker.delivery.stream import StreamSubscriber
from pyro_events._broker.net.connection import Nobody, ServerConnection
from pyro_events._broker.publishers import Publishers
from pyro_events._broker.recovery.reconnects import ReconnectTracker
from pyro_events._broker.snapshot import journal
from pyro_events._broker.snapshot.counters import CounterFile
from pyro_events._broker.snapshot.model import SubscriberSnapshot
from pyro_events._protocol.patterns import Pattern
from pyro_events._protocol.subjects import check_patterns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyro_events._broker.delivery.pending_result import PendingResult
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.net.dialer import Resolver
    from pyro_events._broker.net.loop import Loop
    from pyro_events._broker.publishers import PublisherRecord
    from pyro_events._broker.recovery.roster_store import RosterStore
    from pyro_events._broker.settings import Settings
    from pyro_events._broker.snapshot.model import BrokerSnapshot, LostSubscriber
    from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter
    from pyro_events._protocol.event import Item

_LEAVING = 1000
_PAUSE = 0.002
"""Seconds without a publish after which an event counts as a single one."""

_log = logging.getLogger("pyro_events")


class Broker:
    """Moves published events into mailboxes, and from mailboxes onto connections.

    `lost` lists plain subscribers that a crash has cost, `more_slots` counts those of an earlier
    process that have to fit in addition to ours.
    """

    def __init__(
        self,
        loop: Loop,
        resolver: Resolver,
        settings: Settings,
        identity: dict[str, object],
        version: str,
        store: RosterStore | None,
        *,
        lost: list[LostSubscriber],
        more_slots: int = 0,
    ) -> None:
        self.loop = loop
        self.settings = settings
        self.identity = identity
        self.version = version
        self.store = store
        self.lost = lost
        room = slots(settings) + more_slots
        self.counter_file = store.counter_file if store else CounterFile.in_memory(room)
        self.context: DeliveryContext[BrokerSubscriber] = DeliveryContext(
            loop, resolver, settings, identity, self.counter_file,
            drop=self.drop, record=self.record, flush_if_idle=self._flush_if_idle,
        )  # fmt: skip
        self.router = self.context.router
        self.counters = self.context.counters
        self.callbacks: dict[str, CallbackSubscriber] = {}
        self.streams: dict[str, StreamSubscriber] = {}
        self._last_publish = 0.0
        self.publishers = Publishers(
            loop.clock, settings.publisher_memory, settings.max_publishers, self.counter_file, store
        )
        self.reconnects = ReconnectTracker(loop)
        loop.after_round.append(self.pump)
        if store is not None:
            loop.after_round.append(store.flush)

    def subscribers(self) -> Iterator[BrokerSubscriber]:
        """Yield all subscribers, oldest first within each kind."""
        yield from list(self.callbacks.values())
        yield from list(self.streams.values())

    # Publishing

    def publish(
        self, items: Sequence[Item], publisher: PublisherRecord | None = None
    ) -> PendingResult:
        """Put the events into the queues, in order; the result is done when all are there."""
        self.counters.published += len(items)
        publication = Publication(self.context, items)
        if publisher is not None:
            self.publishers.keep(publisher)  # after the promise: a kill in between loses nothing
        publication.advance()
        return publication

    def announce(self, items: Sequence[Item]) -> None:
        """Publish events of the manager, which don't count as published by clients."""
        self.counters.announced += len(items)
        Publication(self.context, items).advance()

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
            context.encoder.clear()
        if self.router.suspensions:
            self._report_suspensions()

    def _report_suspensions(self) -> None:
        for subscriber, pattern in self.router.take_suspensions():
            _log.warning("%s: pattern %r takes too long, it is suspended", subscriber, pattern)
            subscriber.notify({"kind": "pattern", "pattern": pattern, "reason": "pattern"})

    # Subscribers

    def callback(self, uri: URI, options: Options) -> CallbackSubscriber:
        """Return the subscriber at that address, a new one if need be; ValueError if too many."""
        name = str(uri)
        subscriber = self.callbacks.get(name)
        if subscriber is None:
            self._check_room()
            subscriber = self.callbacks[name] = CallbackSubscriber(self.context, uri, options)
        subscriber.configure(options)
        self.reconnects.returned(subscriber)
        subscriber.returned()
        return subscriber

    def stream(self, subscriber_id: str, name: str, options: Options) -> StreamSubscriber:
        """Return a new stream subscriber, which replaces one of the same id.

        Raises ValueError if there are too many.
        """
        old = self.streams.get(subscriber_id)
        if old is None:
            self._check_room()
        else:
            old.hang_up("the subscriber came back over another connection")
            self.remove(old)
        subscriber = StreamSubscriber(self.context, subscriber_id, name, options)
        self.streams[subscriber_id] = subscriber
        subscriber.configure(options)
        return subscriber

    def _check_room(self) -> None:
        limit = self.settings.max_subscribers
        if len(self.callbacks) + len(self.streams) >= limit:
            raise ValueError(f"the event service has its {limit} subscribers")

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
        if isinstance(subscriber, StreamSubscriber):
            del self.streams[subscriber.id]
        else:
            del self.callbacks[subscriber.name]

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
        self.remove(subscriber)

    def close(self) -> None:
        """Release what belongs to subscribers."""
        for subscriber in (*self.subscribers(), *self.context.leaving):
            subscriber.close()
        for notifier in list(self.context.notifiers):
            notifier.close()

    # The roster

    def record(self, subscriber: BrokerSubscriber) -> None:
        """Write the subscriber's present state to the roster, at the end of the round."""
        if self.store is not None and not subscriber.gone:
            slot = subscriber.slot
            self.store.note(slot, lambda: journal.has(slot, subscriber.standing()))

    def flush_roster(self) -> None:
        """Write the roster's changes, before a client is told of them."""
        if self.store is not None and self.store.changes:
            self.store.flush()

    # From one process to the next

    def resume(self, past: BrokerSnapshot) -> None:
        """Make the subscribers of an earlier process that can come back, and expect them."""
        for standing in past.subscribers:
            if not standing.aware:
                continue
            try:
                subscriber = self._adopt(standing)
            except (TypeError, ValueError, PyroError) as error:
                _log.error("subscriber %s can't be taken over: %s", standing.name, error)
                continue
            subscriber.notify({"kind": "restarted", "reason": past.reason})
        self.publishers.restore(past.publishers)
        if past.subscribers or past.lost:
            _log.info(
                "after a %s: %d subscribers are expected back",
                past.reason, self.reconnects.expected,
            )  # fmt: skip

    def _adopt(self, standing: SubscriberSnapshot) -> BrokerSubscriber:
        patterns = check_patterns(standing.patterns) if standing.patterns else ()
        options = Options(**standing.options)
        subscriber = self._make(standing, options)
        subscriber.restore(standing)
        subscriber.configure(options)
        self.router.subscribe(subscriber, standing.subjects)
        self.router.subscribe_match(subscriber, patterns)
        self.reconnects.expect(subscriber)
        self.record(subscriber)
        return subscriber

    def _make(
        self, standing: SubscriberSnapshot, options: Options, slot: int | None = None
    ) -> BrokerSubscriber:
        key = standing.key
        if standing.kind == "stream":
            stream = StreamSubscriber(self.context, key, standing.name, options, slot)
            self.streams[key] = stream
            return stream
        callback = CallbackSubscriber(self.context, URI(key), options, slot)
        self.callbacks[callback.name] = callback
        return callback

    def quiesce(self) -> None:
        """Reach a point where no publisher waits for room and nothing is half done.

        Publishers blocked on a full queue are released. Reads nothing.
        """
        for subscriber in self.subscribers():
            subscriber.lift_limit()
        while self.loop.pending or self.context.dirty:
            self.loop.run_pending()
            self.pump()
        for subscriber in self.subscribers():
            subscriber.restore_limit()
        if self.store is not None:
            self.store.flush()

    def hand_over(self, sender: SnapshotWriter) -> dict[str, Any]:
        """Say everything, when it is settled; this hub goes on all the same."""
        return {
            "counters": asdict(self.counters),
            "tallies": self.counter_file.hand_over(),
            "publishers": self.publishers.hand_over(),
            "subscribers": [each.hand_over(sender) for each in self.subscribers()],
            "timeouts": self.router.timeouts(),
            "awaited": self.reconnects.hand_over(),
            "leaving": [each.hand_over(sender)["connection"] for each in self.context.leaving],
            "farewells": [each.hand_over() for each in self.context.notifiers],
        }

    def take_over(
        self, receiver: SnapshotReader, values: Mapping[str, Any], patterns: Mapping[str, Pattern]
    ) -> None:
        """Go on from what another process has handed over; nothing may have happened here yet.

        `patterns` are those that were compiled in advance.
        """
        self.counters = self.context.counters = Counters(**values["counters"])
        self.counter_file.take_over(values["tallies"])
        self.publishers.take_over(values["publishers"])
        for each in values["subscribers"]:
            self._take_over(receiver, each, patterns)
        self.router.restore_timeouts(values["timeouts"])
        self.reconnects.take_over(
            values["awaited"],
            lambda kind, key: (self.streams if kind == "stream" else self.callbacks)[key],
        )
        for each in values["leaving"]:
            size = self.settings.handshake_size
            ServerConnection.take_over(self.loop, receiver, each, size, Nobody())
        for uri, notice in values["farewells"]:
            DisconnectNotifier(self.context, URI(uri), notice)

    def _take_over(
        self, receiver: SnapshotReader, values: Mapping[str, Any], patterns: Mapping[str, Pattern]
    ) -> None:
        standing = SubscriberSnapshot.of(values["standing"])
        options = Options(**standing.options)
        subscriber = self._make(standing, options, values["slot"])
        self.router.set_once(subscriber, bool(options.once))
        self.router.subscribe(subscriber, standing.subjects)
        wanted = [patterns.get(text) or Pattern(text) for text in standing.patterns]
        self.router.subscribe_match(subscriber, wanted)
        subscriber.take_over(receiver, values)


def slots(settings: Settings) -> int:
    """Return how many subscribers and publishers there may be, those just leaving included."""
    return settings.max_subscribers + settings.max_publishers + _LEAVING
