"""What clients may call: the event service's methods.

Every argument is checked before anything is done; ValueError and TypeError name what is wrong.
A method whose result has to wait returns a `PendingResult`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pyro_events import codec
from pyro_events._broker import stats
from pyro_events._broker.delivery.options import SubscriberOptions
from pyro_events._broker.principal import short_hash
from pyro_events._broker.rpc.arguments import (
    batch_items,
    check_id,
    check_number,
    check_options,
    check_texts,
    make_items,
)
from pyro_events._broker.rpc.targets import check_event_method, subscriber_uri
from pyro_events._protocol.capabilities import LATE
from pyro_events._protocol.decode_limits import LimitReached
from pyro_events._protocol.runs import events_of, without_runs
from pyro_events._protocol.subjects import check_pattern_texts, check_publishable, check_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from Pyro5.core import URI

    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.callback.subscriber import CallbackSubscriber
    from pyro_events._broker.delivery.publication import PendingResult
    from pyro_events._broker.delivery.stream import StreamSubscriber
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.principal import Principal
    from pyro_events._broker.rpc.session import Session
    from pyro_events._broker.snapshot.model import Callee
    from pyro_events._protocol.patterns import Pattern
    from pyro_events.types import EventServiceStatistics, SubscriberInfo


S = TypeVar("S", bound="BrokerSubscriber")


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
    """The methods in the metadata of stock proxies."""
    callable = frozenset((
        *public, "attach", "detach", "publish_batch", "remembers", "stream_subscribe",
        "stream_unsubscribe",
    ))  # fmt: skip

    def __init__(
        self, broker: Broker, statistics: Callable[[Principal], EventServiceStatistics]
    ) -> None:
        self._broker = broker
        self._statistics = statistics
        self._settings = broker.settings
        self._router = broker.router
        self._access = broker.access
        self._inventory = broker.context.inventory
        self._compile = broker.compiler.compile

    # For every Pyro5 proxy

    def publish(self, session: Session, subjects: object, message: object) -> object:
        """Send one event per subject to all subscribers that want it."""
        texts = check_publishable(subjects)
        self._access.check_publishing(session.principal, texts)
        items = make_items(texts, codec.pack(message), self._settings.queue_bytes)
        if self._inventory.open:
            self._inventory.count(items, session.origin, "")
        return self._broker.publish(items, session.patience)

    def subscribe(
        self, session: Session, subjects: object, subscriber: object, **options: Any
    ) -> object:
        """Call the subscriber's `event` for events about these subjects."""
        uri, own, wanted = _callback_of(session, subscriber, options)
        texts = check_subjects(subjects)
        self._access.check_right(session.principal, "callback")
        self._access.check_hearing(session.principal, texts)
        self._check_room(session, self._callback(session, uri), texts)
        return self._broker.guard.admit(
            session,
            uri,
            lambda callee: self._subscribe(session, own(callee), wanted, texts),
        )

    def subscribeMatch(  # noqa: N802 - the original's name
        self, session: Session, patterns: object, subscriber: object, **options: Any
    ) -> object:
        """Call the subscriber's `event` for events whose subject matches one of the patterns."""
        texts = check_pattern_texts(patterns)
        uri, own, wanted = _callback_of(session, subscriber, options)
        self._access.check_right(session.principal, "callback")
        self._check_room(session, self._callback(session, uri), patterns=texts)

        def compile_for(found: Callee) -> object:
            callee = own(found)
            return self._compile(
                texts, lambda compiled: self._subscribe(session, callee, wanted, patterns=compiled)
            )

        return self._broker.guard.admit(session, uri, compile_for)

    def unsubscribe(self, session: Session, subjects: object, subscriber: object) -> None:
        """Remove subjects, and patterns of the same texts, from the subscriber."""
        texts = check_texts(subjects)
        known = self._callback(session, subscriber_uri(subscriber, session.peer))
        if known is not None:
            self._router.unsubscribe(known, texts)
            self._broker.record(known)
            if self._router.empty(known):
                self._broker.remove(known)

    def statistics(self, session: Session) -> EventServiceStatistics:
        """Return the counters since the start, and the present state."""
        return self._statistics(session.principal)

    def subscriptions(self, session: Session) -> list[SubscriberInfo]:
        """Return every subscriber with its subscriptions."""
        return stats.subscriptions(self._broker, session.principal)

    # For the helpers of this package

    def publish_batch(
        self, session: Session, publisher_id: object, first_seq: object, batch: object
    ) -> object:
        """Publish many; those with a number that this publisher has used before are skipped.

        Those with a subject that no rule allows are refused, each as a whole. The answer has the
        last number and, if any were refused, their numbers and the reason.
        """
        number = check_number("first_seq", first_seq)
        items = batch_items(batch, self._settings)
        assert isinstance(batch, list)
        count = events_of(batch)
        name = check_id("publisher_id", publisher_id)
        publisher = session.publishers.get(session.principal, name)
        refused = self._access.refused(session.principal, batch)
        if refused and count > len(batch):
            batch = without_runs(batch)
            refused = self._access.refused(session.principal, batch)

        def start() -> PendingResult:
            known = publisher.repeated(number, count)
            publisher.last = max(number + count - 1, publisher.last or 0)
            new = items
            if known or refused:
                self._broker.rejections.add("rule", sum(1 for at in refused if at >= known))
                each = without_runs(batch)
                rest = [it for at, it in enumerate(each) if at >= known and at not in refused]
                new = batch_items(rest, self._settings)
            if self._inventory.open:
                self._inventory.count(new, session.origin, name)
            return self._broker.publish(new, session.patience, publisher)

        def answer() -> list[object]:
            found: list[object] = [self._broker.identity["incarnation"], publisher.last]
            if refused:
                found += [[number + at for at in refused], next(iter(refused.values()))]
            return found

        taken = publisher.in_turn(start)
        return answer() if taken.done else taken.then(answer)

    def attach(
        self,
        session: Session,
        subscriber_id: object,
        subjects: object,
        patterns: object,
        options: object,
    ) -> object:
        """Make the calling connection the stream of a subscriber, a new or a returning one."""
        given = check_options(options)
        subscriber_id = check_id("subscriber_id", subscriber_id)
        texts = check_subjects(subjects) if subjects else ()
        pattern_texts = check_pattern_texts(patterns) if patterns else ()
        last = given.pop("last", None)
        if last is not None:
            last = check_number("last", last)
        before = given.pop("last_incarnation", None)
        name = check_id("name", given.pop("name", None) or f"stream-{short_hash(subscriber_id)}")
        wanted = SubscriberOptions(**given)
        session.check_no_stream()
        if before is None:
            self._access.check_hearing(session.principal, texts)
        streams = self._broker.streams
        known = _owned(session, streams.get(subscriber_id), "the id of the stream")
        self._check_room(session, known, texts, pattern_texts, instead=True)

        def attach(compiled: Sequence[Pattern]) -> dict[str, object] | None:
            if session.connection.closed:
                return None
            known = _owned(session, streams.get(subscriber_id), "the id of the stream")
            resumed = known is not None and known.resumable(before, last)
            self._check_room(session, known, texts, pattern_texts, instead=True)
            unheard = self._unheard(session, known, texts)
            if known is None or not (resumed or self._broker.reconnects.expects(known)):
                known = self._broker.stream(subscriber_id, name, session.principal, wanted)
            else:
                self._router.remove(known)
                known.configure(wanted)
                known.forget_before(before)
            self._add(known, texts, compiled)
            self._broker.reconnects.returned(known)
            number, missed = session.attach(known, last if resumed else None)
            if unheard:
                self._tell_unheard(known, unheard)
            answer: dict[str, object] = {
                "incarnation": self._broker.identity["incarnation"],
                "resumed": resumed,
                "next": number,
                "missed": missed if resumed else None,
                "published": self._broker.counters.published,
            }
            if LATE in session.can:
                answer["ack"] = known.ack_after
            return answer

        return self._compile(pattern_texts, attach)

    def _unheard(
        self, session: Session, known: StreamSubscriber | None, subjects: Sequence[str]
    ) -> list[str]:
        """Return the subjects that the rules take from a stream that comes back.

        Those that it had at the change of the rules it was told of, and keeps for the next change.
        """
        had = set() if known is None else set(self._router.subscriptions(known)[0])
        return self._access.unheard(session.principal, [s for s in subjects if s not in had])

    def _tell_unheard(self, stream: StreamSubscriber, subjects: list[str]) -> None:
        """Count and tell them after the answer: refused, the helper could not come back at all."""
        notice: dict[str, object] = {"kind": "rule", "subjects": subjects, "patterns": []}
        self._broker.rejections.add("rule", len(subjects))
        self._broker.loop.call_soon(lambda: stream.notify(notice))

    def detach(self, session: Session) -> None:
        """End all subscriptions of the stream; the connection stays."""
        self._broker.remove(_stream_of(session))

    def stream_subscribe(
        self, session: Session, subjects: object, patterns: object, once: object = None
    ) -> object:
        """Add subscriptions to the stream of this connection."""
        texts = check_subjects(subjects) if subjects else ()
        pattern_texts = check_pattern_texts(patterns) if patterns else ()
        wanted = SubscriberOptions(once=once)  # type: ignore[arg-type] # it checks what clients send
        self._access.check_hearing(session.principal, texts)
        self._check_room(session, _stream_of(session), texts, pattern_texts)

        def subscribe(compiled: Sequence[Pattern]) -> None:
            stream = _stream_of(session)
            self._check_room(session, stream, texts, pattern_texts)
            if wanted.once is not None:
                stream.configure(wanted)
            self._add(stream, texts, compiled)

        return self._compile(pattern_texts, subscribe)

    def stream_unsubscribe(self, session: Session, texts: object) -> None:
        """Remove subscriptions from the stream; it stays when none is left."""
        stream = _stream_of(session)
        self._router.unsubscribe(stream, check_texts(texts))
        self._broker.record(stream)

    def remembers(self, session: Session, subscriber: object, incarnation: object) -> bool:
        """Return whether a subscriber of an earlier incarnation is still known.

        If so, it is notified of a gap, if there was one; otherwise the gap is unknown.
        """
        known = self._callback(session, subscriber_uri(subscriber, session.peer))
        return known is not None and incarnation in known.lineage

    def _callback(self, session: Session, uri: URI) -> CallbackSubscriber | None:
        """Return the client's own subscriber at that address; raises PermissionError."""
        return _owned(session, self._broker.callbacks.get(str(uri)), "the subscriber")

    def _subscribe(
        self,
        session: Session,
        callee: Callee,
        wanted: SubscriberOptions,
        subjects: Sequence[str] = (),
        patterns: Sequence[Pattern] = (),
    ) -> None:
        texts = [pattern.text for pattern in patterns]
        known = _owned(session, self._broker.callbacks.get(callee.uri), "the subscriber")
        self._check_room(session, known, subjects, texts)
        self._add(self._broker.callback(callee, session.principal, wanted), subjects, patterns)

    def _add(
        self, known: BrokerSubscriber, subjects: Sequence[str], patterns: Sequence[Pattern]
    ) -> None:
        self._router.subscribe(known, subjects)
        self._router.subscribe_match(known, patterns)
        self._broker.record(known)

    def _check_room(
        self,
        session: Session,
        known: BrokerSubscriber | None,
        subjects: Sequence[str] = (),
        patterns: Sequence[str] = (),
        *,
        instead: bool = False,
    ) -> None:
        """Raise LimitReached if a subscriber is one too many, or gets too many subscriptions.

        `known` is the subscriber if there is one already; what it has goes if this is `instead`.
        """
        if known is None:
            self._broker.check_subscribers(session.principal)
        old = ([], []) if known is None or instead else self._router.subscriptions(known)
        wanted = {subject.lower() for subject in (*old[0], *subjects)}
        count = len(wanted) + len({*old[1], *patterns})
        limit = self._settings.max_subscriptions
        if count > limit:
            raise LimitReached(
                "max_subscriptions",
                f"{count} subscriptions are too many for one subscriber; the limit is {limit} "
                "(max_subscriptions)",
            )


def _callback_of(
    session: Session, subscriber: object, options: dict[str, Any]
) -> tuple[URI, Callable[[Callee], Callee], SubscriberOptions]:
    """Return the object's address, what adds a helper's own to where it is called, and options."""
    key, secure = options.pop("key", None), options.pop("tls", False)
    if key is not None:
        check_id("key", key)
    if secure and session.certificate is None:
        raise ValueError("tls: only a client with a certificate is called over TLS")
    certificate = session.principal.name if secure else None
    uri, wanted = subscriber_uri(subscriber, session.peer), SubscriberOptions(**options)
    check_event_method(subscriber)
    stock = key is None and session.certificate is not None and uri.sockname is None
    if certificate is None and not stock:
        session.check_callback(uri)
    own = {"key": key, "certificate": certificate, "secure": stock and certificate is None}
    return uri, lambda callee: callee._replace(**own), wanted


def _owned(session: Session, known: S | None, what: str) -> S | None:
    """Return what a client wants to change; raises PermissionError if it is another one's."""
    if known is not None and known.owner != session.principal:
        raise PermissionError(f"not yours: {what} belongs to another client")
    return known


def _stream_of(session: Session) -> StreamSubscriber:
    if session.stream is None or session.stream.gone:
        raise ValueError("this connection is not a stream: call attach first")
    return session.stream
