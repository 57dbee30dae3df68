"""What the event service reports about itself: counters, and who is subscribed to what."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events.types import (
        EventServiceStatistics,
        SubscriberInfo,
        TlsStatistics,
        WhenFull,
    )


def statistics(
    broker: Broker,
    *,
    connections: int,
    refusals: dict[str, int],
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
        "held": broker.context.held,
        "gave_up": counters.gave_up,
        "lost": [lost.plain() for lost in broker.lost],
        "roster_errors": broker.store.errors if broker.store is not None else 0,
        "tls": tls,
    }


def subscriptions(broker: Broker) -> list[SubscriberInfo]:
    """Return every subscriber with its subscriptions, as it wrote them."""
    return [_describe(broker, subscriber) for subscriber in broker.subscribers()]


def _describe(broker: Broker, subscriber: BrokerSubscriber) -> SubscriberInfo:
    subjects, patterns = broker.router.subscriptions(subscriber)
    return {
        "subscriber": subscriber.name,
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
