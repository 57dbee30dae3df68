"""What clients may call: the event service's methods, and the few of a Pyro5 daemon.

Every argument is checked before anything is done; ValueError and TypeError name what is wrong.
A method may give a `PendingResult` instead of a result that has to wait.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from Pyro5.core import DAEMON_NAME
from Pyro5.errors import DaemonError

from pyro_events import codec
from pyro_events._broker import stats
from pyro_events._broker.delivery.subscriber import ITEM_OVERHEAD, Options
from pyro_events._broker.rpc.targets import subscriber_uri
from pyro_events._protocol.decode_limits import LimitReached
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events._protocol.subjects import (
    MAX_SUBJECT,
    check_patterns,
    check_subjects,
    check_texts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.encoder import Item
    from pyro_events._broker.delivery.pending_result import PendingResult
    from pyro_events._broker.delivery.stream import StreamSubscriber
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.rpc.session import Session
    from pyro_events._protocol.patterns import Pattern
    from pyro_events.types import EventServiceStatistics, SubscriberInfo

_MAX_ID = 255
_LARGEST = 1 << 63


def remote_objects(hub: Broker, statistics: Callable[[], EventServiceStatistics]) -> dict[str, Any]:
    """Give the objects that clients reach, by their ids."""
    service = EventServiceObject(hub, statistics)
    objects: dict[str, Any] = {EVENTSERVICE_NAME: service}
    objects[DAEMON_NAME] = DaemonObject(objects)
    return objects


class EventServiceObject:
    """The object `Pyro.EventService`. Every method gets the calling session first."""

    public = (
        "publish",
        "statistics",
        "subscribe",
        "subscribeMatch",
        "subscriptions",
        "unsubscribe",
    )
    """What stock proxies are told of."""
    callable = frozenset((
        *public, "attach", "detach", "publish_batch", "remembers", "stream_subscribe",
        "stream_unsubscribe",
    ))  # fmt: skip

    def __init__(self, hub: Broker, statistics: Callable[[], EventServiceStatistics]) -> None:
        self._hub = hub
        self._statistics = statistics

    # For every Pyro5 proxy

    def publish(self, _session: Session, subjects: object, message: object) -> object:
        """Send one event per subject to everybody who wants it."""
        texts = check_subjects(subjects)
        items = make_items(texts, codec.pack(message), self._hub.settings.queue_bytes)
        return self._hub.publish(items)

    def subscribe(
        self, session: Session, subjects: object, subscriber: object, **options: Any
    ) -> None:
        """Call the subscriber's `event` for events about these subjects."""
        texts = check_subjects(subjects)
        uri, wanted = subscriber_uri(subscriber, session.peer), Options(**options)
        self._check_room(self._hub.callbacks.get(str(uri)), subjects=texts)
        known = self._hub.callback(uri, wanted)
        self._hub.router.subscribe(known, texts)
        self._hub.note(known)

    def subscribeMatch(  # noqa: N802 - the original's name
        self, session: Session, patterns: object, subscriber: object, **options: Any
    ) -> None:
        """Call the subscriber's `event` for events whose subject matches one of the patterns."""
        compiled = check_patterns(patterns)
        uri, wanted = subscriber_uri(subscriber, session.peer), Options(**options)
        self._check_room(self._hub.callbacks.get(str(uri)), patterns=compiled)
        known = self._hub.callback(uri, wanted)
        self._hub.router.subscribe_match(known, compiled)
        self._hub.note(known)

    def unsubscribe(self, session: Session, subjects: object, subscriber: object) -> None:
        """Take subjects, and patterns of the same texts, away from the subscriber."""
        texts = check_texts(subjects)
        known = self._hub.callbacks.get(str(subscriber_uri(subscriber, session.peer)))
        if known is not None:
            self._hub.router.unsubscribe(known, texts)
            self._hub.note(known)
            if self._hub.router.empty(known):
                self._hub.remove(known)

    def statistics(self, _session: Session) -> EventServiceStatistics:
        """Return the counters since the start, and the present state."""
        return self._statistics()

    def subscriptions(self, _session: Session) -> list[SubscriberInfo]:
        """Return every subscriber with its subscriptions."""
        return stats.subscriptions(self._hub)

    # For the helpers of this package

    def publish_batch(
        self, _session: Session, publisher_id: object, first_seq: object, batch: object
    ) -> object:
        """Publish many; what has a number that this publisher used before is left out."""
        number = _check_number("first_seq", first_seq)
        limit = self._hub.settings.queue_bytes
        items = batch_items(batch, limit)
        assert isinstance(batch, list)
        publisher = self._hub.publishers.seen(_check_id("publisher_id", publisher_id))

        def start() -> PendingResult:
            known = publisher.news(number, len(batch))
            publisher.last = max(number + len(batch) - 1, publisher.last or 0)
            news = batch_items(batch[known:], limit) if known else items
            return self._hub.publish(news, publisher)

        def answer() -> list[object]:
            return [self._hub.identity["incarnation"], publisher.last]

        taken = publisher.in_turn(start)
        return answer() if taken.done else taken.then(answer)

    def attach(
        self,
        session: Session,
        subscriber_id: object,
        subjects: object,
        patterns: object,
        options: object,
    ) -> dict[str, object]:
        """Make the calling connection the stream of a subscriber, a new or a returning one."""
        given = _check_options(options)
        subscriber_id = _check_id("subscriber_id", subscriber_id)
        texts = check_subjects(subjects) if subjects else ()
        compiled = check_patterns(patterns) if patterns else ()
        last = given.pop("last", None)
        if last is not None:
            last = _check_number("last", last)
        incarnation = self._hub.identity["incarnation"]
        before = given.pop("last_incarnation", None)
        name = _check_id("name", given.pop("name", None) or subscriber_id)
        wanted = Options(**given)
        session.check_no_stream()

        known = self._hub.streams.get(subscriber_id)
        resumed = known is not None and known.resumable(before, last)
        self._check_room(known, texts, compiled, instead=True)
        if known is None or not (resumed or self._hub.awaited.expects(known)):
            known = self._hub.stream(subscriber_id, name, wanted)
        else:
            self._hub.router.remove(known)
            known.configure(wanted)
            known.believes(before)
        self._hub.router.subscribe(known, texts)
        self._hub.router.subscribe_match(known, compiled)
        self._hub.awaited.returned(known)
        self._hub.note(known)
        number, missed = session.attach(known, last if resumed else None)
        return {
            "incarnation": incarnation,
            "resumed": resumed,
            "next": number,
            "missed": missed if resumed else None,
            "published": self._hub.counters.published,
        }

    def detach(self, session: Session) -> None:
        """End the stream's subscription for good; the connection stays."""
        self._hub.remove(_stream_of(session))

    def stream_subscribe(
        self, session: Session, subjects: object, patterns: object, once: object = None
    ) -> None:
        """Add subscriptions to the stream of this connection."""
        stream = _stream_of(session)
        texts = check_subjects(subjects) if subjects else ()
        compiled = check_patterns(patterns) if patterns else ()
        wanted = Options(once=once)  # type: ignore[arg-type] # it checks what clients send
        self._check_room(stream, texts, compiled)
        if wanted.once is not None:
            stream.configure(wanted)
        self._hub.router.subscribe(stream, texts)
        self._hub.router.subscribe_match(stream, compiled)
        self._hub.note(stream)

    def stream_unsubscribe(self, session: Session, texts: object) -> None:
        """Take subscriptions away from the stream; it goes on when none is left."""
        stream = _stream_of(session)
        self._hub.router.unsubscribe(stream, check_texts(texts))
        self._hub.note(stream)

    def remembers(self, session: Session, subscriber: object, incarnation: object) -> bool:
        """Say whether a subscriber of an earlier incarnation is still known.

        It is told of a gap, then, if there was one; otherwise nobody can know.
        """
        known = self._hub.callbacks.get(str(subscriber_uri(subscriber, session.peer)))
        return known is not None and incarnation in known.lineage

    def _check_room(
        self,
        known: BrokerSubscriber | None,
        subjects: Sequence[str] = (),
        patterns: Sequence[Pattern] = (),
        *,
        instead: bool = False,
    ) -> None:
        """Raise LimitReached if a subscriber is one too many, or gets too many subscriptions.

        `known` is the subscriber if there is one already; what it has goes if this is `instead`.
        """
        settings, hub = self._hub.settings, self._hub
        limit = settings.max_subscribers
        if known is None and len(hub.callbacks) + len(hub.streams) >= limit:
            raise LimitReached(
                "max_subscribers",
                f"the event service has its {limit} subscribers (max_subscribers)",
            )
        old = ([], []) if known is None or instead else hub.router.subscriptions(known)
        wanted = {subject.lower() for subject in (*old[0], *subjects)}
        count = len(wanted) + len({*old[1], *(pattern.text for pattern in patterns)})
        limit = settings.max_subscriptions
        if count > limit:
            raise LimitReached(
                "max_subscriptions",
                f"{count} subscriptions are too many for one subscriber; the limit is {limit} "
                "(max_subscriptions)",
            )


class DaemonObject:
    """The object `Pyro.Daemon`, as far as stock clients need it."""

    public = ("get_metadata", "info", "ping", "registered")
    callable = frozenset(public)

    def __init__(self, objects: dict[str, Any]) -> None:
        self._objects = objects

    def ping(self, _session: Session) -> None:
        """Answer."""

    def info(self, _session: Session) -> str:
        """Describe the server."""
        return f"{DAEMON_NAME} of an event service, {len(self._objects)} objects registered"

    def registered(self, _session: Session) -> list[str]:
        """Give the ids of the objects here."""
        return list(self._objects)

    def get_metadata(self, _session: Session | None, objectId: str) -> dict[str, object]:  # noqa: N803 - Pyro5's name
        """Give what a proxy wants to know of an object."""
        found = self._objects.get(objectId)
        if found is None:
            raise DaemonError("unknown object")
        return {"methods": set(found.public), "oneway": set(), "attrs": set()}


def make_items(
    subjects: tuple[str, ...], body: bytes, limit: int, *, opaque: bool = False
) -> list[Item]:
    """Make the events of one publish, which all have the same time; ValueError if too large."""
    _check_size(body, limit)
    now = time.time()
    return [(subject, now, body, opaque) for subject in subjects]


def batch_items(batch: object, limit: int) -> list[Item]:
    """Make the events of many publishes; raises ValueError or TypeError before anything is done."""
    if not isinstance(batch, list):
        raise TypeError(f"batch must be a list, not {type(batch).__name__}")
    now = time.time()
    items: list[Item] = []
    try:
        for subjects, body, opaque in batch:
            if type(body) is not bytes or type(opaque) is not bool or type(subjects) is not list:
                raise TypeError("batch must hold [subjects, body, opaque]")
            if len(body) > limit - _SUBJECT_ROOM:
                _check_size(body, limit)
            if not subjects:
                check_subjects(subjects)
            for subject in subjects:
                if type(subject) is not str or not 0 < len(subject) <= MAX_SUBJECT:
                    check_subjects(subjects)
                items.append((subject, now, body, opaque))
    except ValueError as error:
        if "unpack" in str(error):
            raise TypeError("batch must hold [subjects, body, opaque]") from None
        raise
    return items


_SUBJECT_ROOM = MAX_SUBJECT + ITEM_OVERHEAD


def _check_size(body: bytes, limit: int) -> None:
    if len(body) > limit - _SUBJECT_ROOM:
        raise LimitReached(
            "queue_bytes",
            f"the message is too large: {len(body)} bytes; at most {limit - _SUBJECT_ROOM} fit "
            "into a subscriber's queue (queue_bytes)",
        )


def _check_id(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if not 0 < len(value) <= _MAX_ID:
        raise ValueError(f"{what} must have from 1 to {_MAX_ID} characters")
    return value


def _check_number(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be an int, not {type(value).__name__}")
    if not 0 <= value < _LARGEST:
        raise ValueError(f"{what} is out of range: {value}")
    return value


def _check_options(options: object) -> dict[str, Any]:
    if not isinstance(options, dict):
        raise TypeError(f"options must be a dict, not {type(options).__name__}")
    known = {"name", "once", "when_full", "queue_size", "last", "last_incarnation"}
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(f"unknown options: {', '.join(map(str, unknown))}")
    return dict(options)


def _stream_of(session: Session) -> StreamSubscriber:
    if session.stream is None or session.stream.gone:
        raise ValueError("this connection is no stream: call attach first")
    return session.stream
