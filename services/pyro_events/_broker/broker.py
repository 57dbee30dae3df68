"""The centre: who is subscribed, what was published, and what has to be sent this round."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from Pyro5.core import URI

from pyro_events._broker.delivery.callback.disconnect_notifier import DisconnectNotifier
from pyro_events._broker.delivery.callback.subscriber import CallbackSubscriber
from pyro_events._broker.delivery.encoder import Encoder
from pyro_events._broker.delivery.publication import Publication
from pyro_events._broker.delivery.stream import StreamSubscriber
from pyro_events._broker.delivery.subscriber import Options
from pyro_events._broker.net.connection import Nobody, ServerConnection
from pyro_events._broker.publishers import Publishers
from pyro_events._broker.recovery.reconnects import ReconnectTracker
from pyro_events._broker.router import Router
from pyro_events._broker.snapshot import journal
from pyro_events._broker.snapshot.counters import CounterFile
from pyro_events._broker.snapshot.model import SubscriberSnapshot
from pyro_events._protocol.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyro_events._broker.delivery.encoder import Item
    from pyro_events._broker.delivery.pending_result import PendingResult
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.net.dialer import Resolver
    from pyro_events._broker.net.loop import Loop
    from pyro_events._broker.publishers import PublisherRecord
    from pyro_events._broker.recovery.roster_store import RosterStore
    from pyro_events._broker.settings import Settings
    from pyro_events._broker.snapshot.model import LostSubscriber
    from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter

_LEAVING = 1000
_PAUSE = 0.002
"""Seconds without a publish after which an event is taken for a single one."""

_log = logging.getLogger("pyro_events")


@dataclass(slots=True)
class Counters:
    """What happened since the start."""

    published: int = 0
    delivered: int = 0
    errors: int = 0
    retries: int = 0
    announced: int = 0
    """Events of the manager; `published` has none of them."""
    refused: int = 0
    """Calls that ended with an exception."""
    dropped_with_subscriber: int = 0
    """Events lost to subscribers that are gone."""


class Broker:
    """Brings published events into mailboxes, and mailboxes onto connections."""

    def __init__(
        self,
        loop: Loop,
        resolver: Resolver,
        settings: Settings,
        identity: dict[str, str],
        version: str,
        keeper: RosterStore | None = None,
        *,
        more_slots: int = 0,
    ) -> None:
        self.loop = loop
        self.resolver = resolver
        self.settings = settings
        self.version = version
        self.identity = identity
        """`uri` and `incarnation`, for notices."""
        self.router: Router[BrokerSubscriber] = Router()
        self.encoder = Encoder()
        self.counters = Counters()
        self.callbacks: dict[str, CallbackSubscriber] = {}
        self.streams: dict[str, StreamSubscriber] = {}
        self.dirty: list[BrokerSubscriber] = []
        self._placed = 0.0
        self.held = 0
        """Publications that wait for a full queue."""
        self.leaving: set[CallbackSubscriber] = set()
        """Those who were dismissed and may not have read it yet."""
        self.farewells: set[DisconnectNotifier] = set()
        """The same, of those to whom there was no connection."""
        self.frozen = False
        """Nothing is sent to subscribers any more: the next process will do it."""
        self.keeper = keeper
        room = slots(settings) + more_slots
        self.tallies = keeper.tallies if keeper is not None else CounterFile.in_memory(room)
        self.publishers = Publishers(
            loop.clock, settings.publisher_memory, settings.max_publishers, self.tallies, keeper
        )
        self.awaited = ReconnectTracker(loop)
        self.lost: list[LostSubscriber] = []
        """Plain subscribers that a crash has cost."""
        loop.after_round.append(self.pump)
        if keeper is not None:
            loop.after_round.append(keeper.flush)

    def subscribers(self) -> Iterator[BrokerSubscriber]:
        """Give everybody, oldest first within each kind."""
        yield from list(self.callbacks.values())
        yield from list(self.streams.values())

    def publish(
        self, items: Sequence[Item], publisher: PublisherRecord | None = None
    ) -> PendingResult:
        """Put the events into the queues, in order; gives what is done when they are there."""
        self.counters.published += len(items)
        publication = Publication(self, items)
        if publisher is not None:
            self.publishers.keep(publisher)  # after the promise: a kill in between loses nothing
        publication.advance()
        return publication

    def announce(self, items: Sequence[Item]) -> None:
        """Publish what the manager tells, which doesn't count as published by clients."""
        self.counters.announced += len(items)
        Publication(self, items).advance()

    def placed(self) -> None:
        """Send what was published after a pause at once, before its publisher is answered.

        When publishes come thick and fast, their publishers are answered first, and the events of
        a round leave together.
        """
        now = self.loop.clock()
        pause, self._placed = now - self._placed, now
        if pause > _PAUSE:
            self.pump()

    def pump(self) -> None:
        """Send what this round has brought; the loop calls it after each round."""
        if self.dirty:
            dirty, self.dirty = self.dirty, []
            for subscriber in dirty:
                subscriber.pump()
            self.encoder.clear()
        if self.router.suspensions:
            self._tell_suspensions()

    def _tell_suspensions(self) -> None:
        for subscriber, pattern in self.router.take_suspensions():
            _log.warning("%s: pattern %r takes too long, it is suspended", subscriber, pattern)
            subscriber.notify({"kind": "pattern", "pattern": pattern, "reason": "pattern"})

    def callback(self, uri: URI, options: Options) -> CallbackSubscriber:
        """Give the subscriber at that address, a new one if need be; ValueError if too many."""
        name = str(uri)
        subscriber = self.callbacks.get(name)
        if subscriber is None:
            self._check_room()
            subscriber = self.callbacks[name] = CallbackSubscriber(self, uri, options)
        subscriber.configure(options)
        self.awaited.returned(subscriber)
        subscriber.returned()
        return subscriber

    def stream(self, subscriber_id: str, name: str, options: Options) -> StreamSubscriber:
        """Give a new stream subscriber; one of the same id goes. ValueError if too many."""
        old = self.streams.get(subscriber_id)
        if old is None:
            self._check_room()
        else:
            old.hang_up("the subscriber came back over another connection")
            self.remove(old)
        subscriber = StreamSubscriber(self, subscriber_id, name, options)
        self.streams[subscriber_id] = subscriber
        subscriber.configure(options)
        return subscriber

    def note(self, subscriber: BrokerSubscriber) -> None:
        """Have the roster say how the subscriber stands now."""
        if self.keeper is not None and not subscriber.gone:
            slot = subscriber.slot
            self.keeper.note(slot, lambda: journal.has(slot, subscriber.standing()))

    def remember(self) -> None:
        """Have the roster written before somebody is told that it is so."""
        if self.keeper is not None and self.keeper.changes:
            self.keeper.flush()

    def adopt(self, standing: SubscriberSnapshot, patterns: Sequence[Pattern]) -> BrokerSubscriber:
        """Make a subscriber of an earlier process, which is expected to come back.

        Raises ValueError, TypeError or PyroError when it isn't one that can be.
        """
        options = Options(**standing.options)
        subscriber: BrokerSubscriber
        if standing.kind == "stream":
            subscriber = StreamSubscriber(self, standing.key, standing.name, options)
            self.streams[standing.key] = subscriber
        else:
            subscriber = CallbackSubscriber(self, URI(standing.key), options)
            self.callbacks[subscriber.name] = subscriber
        subscriber.restore(standing)
        subscriber.configure(options)
        self.router.subscribe(subscriber, standing.subjects)
        self.router.subscribe_match(subscriber, patterns)
        self.awaited.expect(subscriber)
        self.note(subscriber)
        return subscriber

    def settle(self) -> None:
        """Come to a point where nobody waits for room and nothing is half done.

        Who was held because of a full queue is held no longer. Reads nothing.
        """
        for subscriber in self.subscribers():
            subscriber.lift_limit()
        while self.loop.pending or self.dirty:
            self.loop.run_pending()
            self.pump()
        for subscriber in self.subscribers():
            subscriber.restore_limit()
        if self.keeper is not None:
            self.keeper.flush()

    def hand_over(self, sender: SnapshotWriter) -> dict[str, Any]:
        """Say everything, when it is settled; this hub goes on all the same."""
        return {
            "counters": asdict(self.counters),
            "tallies": self.tallies.hand_over(),
            "publishers": self.publishers.hand_over(),
            "subscribers": [each.hand_over(sender) for each in self.subscribers()],
            "timeouts": self.router.timeouts(),
            "awaited": self.awaited.hand_over(),
            "leaving": [each.hand_over(sender)["connection"] for each in self.leaving],
            "farewells": [each.hand_over() for each in self.farewells],
        }

    def take_over(
        self, receiver: SnapshotReader, values: Mapping[str, Any], patterns: Mapping[str, Pattern]
    ) -> None:
        """Go on from what another process has handed over; nothing may have happened here yet.

        `patterns` are those that were compiled in advance.
        """
        self.counters = Counters(**values["counters"])
        self.tallies.take_over(values["tallies"])
        self.publishers.take_over(values["publishers"])
        for each in values["subscribers"]:
            self._take_over(receiver, each, patterns)
        self.router.restore_timeouts(values["timeouts"])
        self.awaited.take_over(
            values["awaited"],
            lambda kind, key: (self.streams if kind == "stream" else self.callbacks)[key],
        )
        for each in values["leaving"]:
            size = self.settings.handshake_size
            ServerConnection.take_over(self.loop, receiver, each, size, Nobody())
        for uri, notice in values["farewells"]:
            DisconnectNotifier(self, URI(uri), notice)

    def _take_over(
        self, receiver: SnapshotReader, values: Mapping[str, Any], patterns: Mapping[str, Pattern]
    ) -> None:
        standing = SubscriberSnapshot.of(values["standing"])
        options, slot = Options(**standing.options), values["slot"]
        subscriber: BrokerSubscriber
        if standing.kind == "stream":
            subscriber = StreamSubscriber(self, standing.key, standing.name, options, slot)
            self.streams[standing.key] = subscriber
        else:
            subscriber = CallbackSubscriber(self, URI(standing.key), options, slot)
            self.callbacks[subscriber.name] = subscriber
        self.router.set_once(subscriber, bool(options.once))
        self.router.subscribe(subscriber, standing.subjects)
        wanted = [patterns.get(text) or Pattern(text) for text in standing.patterns]
        self.router.subscribe_match(subscriber, wanted)
        subscriber.take_over(receiver, values)

    def close(self) -> None:
        """Release what belongs to subscribers."""
        for subscriber in (*self.subscribers(), *self.leaving):
            subscriber.close()
        for farewell in list(self.farewells):
            farewell.close()

    def _check_room(self) -> None:
        limit = self.settings.max_subscribers
        if len(self.callbacks) + len(self.streams) >= limit:
            raise ValueError(f"the event service has its {limit} subscribers")

    def remove(self, subscriber: BrokerSubscriber) -> None:
        """Let a subscriber go that wants to, or has no subscription left."""
        if subscriber.gone:
            return
        subscriber.close()
        self.tallies.release(subscriber.slot)
        if self.keeper is not None:
            self.keeper.forget(subscriber.slot)
        self.awaited.given_up(subscriber)
        self.counters.dropped_with_subscriber += subscriber.dropped
        self.router.remove(subscriber)
        if isinstance(subscriber, StreamSubscriber):
            del self.streams[subscriber.id]
        else:
            del self.callbacks[subscriber.name]

    def drop(self, subscriber: BrokerSubscriber, reason: str) -> None:
        """Give a subscriber up; what waited for it is lost, counted, and told by name."""
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

    def log_stalled(self, subscriber: BrokerSubscriber) -> None:
        """Tell that a full queue has held a publisher for too long."""
        _log.warning(
            "subscriber %s takes nothing for %g s and its queue of %d is full: events are dropped",
            subscriber, self.settings.block_timeout, subscriber.options.queue_size,
        )  # fmt: skip


def slots(settings: Settings) -> int:
    """Give how many subscribers and publishers there may be, those just leaving included."""
    return settings.max_subscribers + settings.max_publishers + _LEAVING
