"""What the event service reports about itself: counters, and who is subscribed to what."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pyro_events._broker.counting.inventory import shown
from pyro_events._broker.principal import short_hash

if TYPE_CHECKING:
    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.principal import Principal
    from pyro_events.types import (
        DurationHistogram,
        EventServiceStatistics,
        SubscriberInfo,
        TlsStatistics,
        WhenFull,
    )


def _shown(uri: str, owner: Principal, viewer: Principal | None) -> str:
    """Return what a client may know of the URI of a callback subscriber; None is the manager.

    Whoever knows the URI of another one's object can call it.
    """
    return uri if viewer in (None, owner) else f"callback-{short_hash(uri)}"


def statistics(
    broker: Broker,
    viewer: Principal | None,
    *,
    connections: int,
    refusals: dict[str, int],
    slowed: int,
    uptime_s: float,
    tls: TlsStatistics | None,
) -> EventServiceStatistics:
    """Return the counters since the start, and the present state."""
    counters = broker.counters
    subscribers = list(broker.subscribers())
    return {
        "uri": broker.identity["uri"],
        "incarnation": broker.identity["incarnation"],
        "version": broker.version,
        "uptime_s": round(uptime_s, 3),
        "connections": connections,
        "subscribers": len(subscribers),
        "subscriptions": sum(
            sum(map(len, broker.router.subscriptions(subscriber))) for subscriber in subscribers
        ),
        "published": counters.published,
        "delivered": counters.delivered,
        "dropped": counters.dropped_with_subscriber + sum(s.dropped for s in subscribers),
        "queued": sum(subscriber.queued for subscriber in subscribers),
        "queued_bytes": broker.context.shared_room.used,
        "announced": counters.announced,
        "errors": counters.errors,
        "retries": counters.retries,
        "refused": counters.refused,
        "refusals": refusals,
        "slowed": slowed,
        "held": broker.context.held,
        "gave_up": counters.gave_up,
        "unmatched": counters.unmatched,
        "dropped_unsent": counters.dropped_unsent,
        "received_bytes": broker.context.traffic.received,
        "sent_bytes": broker.context.traffic.sent,
        "delivery": cast("DurationHistogram", broker.context.traffic.histogram()),
        "fullest_queue": max(map(_fullness, subscribers), default=0.0),
        "aware": sum(subscriber.aware for subscriber in subscribers),
        "publishers": sum(1 for _ in broker.publishers.in_use()),
        "lost": [
            {
                "subscriber": _shown(each.subscriber, each.owner, viewer),
                "subjects": each.subjects,
                "patterns": each.patterns,
            }
            for each in broker.lost
        ],
        "roster_errors": broker.store.errors if broker.store is not None else 0,
        "tls": tls,
    }


def _fullness(subscriber: BrokerSubscriber) -> float:
    """Return how full its queue is, from 0 to 1."""
    return round(subscriber.queued / cast("int", subscriber.options.queue_size), 4)


def inventory(broker: Broker) -> dict[str, object]:
    """Return which subjects are published and by whom, and have it counted for a while.

    The counts are since `seconds` ago; the first look returns none.
    """
    found, targets = broker.context.inventory, broker.router.targets
    found.look()
    return {
        "seconds": round(found.seconds, 3),
        "subjects": [
            {
                "subject": shown(subject), "count": count, "error": error, "last": last,
                "listeners": len(targets(subject) or ()),
            }
            for subject, count, error, last in found.subjects.top()
        ],
        "publishers": [
            {"origin": origin, "publisher": name, "count": count, "last": last}
            for (origin, name), count, _, last in found.publishers.top()
        ],
        "edges": [
            {"origin": origin, "publisher": name, "subjects": shown(subjects), "count": count}
            for ((origin, name), subjects), count, _, _ in found.edges.top()
        ],
        "known": [
            {"owner": str(each.owner), "publisher": each.name, "number": each.last}
            for each in broker.publishers.in_use()
        ],
    }  # fmt: skip


def subscriptions(broker: Broker, viewer: Principal | None = None) -> list[SubscriberInfo]:
    """Return every subscriber with its subscriptions, as it wrote them.

    Of URIs, a client sees those of its own subscribers, or all with the right `subscriptions`.
    """
    if viewer is not None:
        permissions = broker.access.of(viewer)
        if permissions is not None and permissions.has("subscriptions"):
            viewer = None
    return [_describe(broker, viewer, subscriber) for subscriber in broker.subscribers()]


def _describe(
    broker: Broker, viewer: Principal | None, subscriber: BrokerSubscriber
) -> SubscriberInfo:
    name, owner = subscriber.name, subscriber.owner
    subjects, patterns = broker.router.subscriptions(subscriber)
    return {
        "subscriber": name if subscriber.kind == "stream" else _shown(name, owner, viewer),
        "kind": subscriber.kind,
        "aware": subscriber.aware,
        "subjects": subjects,
        "patterns": patterns,
        "suspended": broker.router.suspended(subscriber),
        "queued": subscriber.queued,
        "queue_size": cast("int", subscriber.options.queue_size),
        "when_full": cast("WhenFull", subscriber.options.when_full),
        "delivered": subscriber.delivered,
        "dropped": subscriber.dropped,
        "unmatched": sum(broker.router.unmatched(subscriber).values()),
        "errors": subscriber.errors,
        "state": subscriber.state,
    }
