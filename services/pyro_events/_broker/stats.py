"""What the event service tells about itself: counters, and who is subscribed to what."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events.types import EventServiceStatistics, SubscriberInfo, WhenFull


def statistics(
    hub: Broker, *, connections: int, refusals: dict[str, int], uptime_s: float
) -> EventServiceStatistics:
    """Return the counters since the start, and the present state."""
    counters = hub.counters
    subscribers = list(hub.subscribers())
    return {
        "uri": hub.identity["uri"],
        "incarnation": hub.identity["incarnation"],
        "version": hub.version,
        "uptime_s": round(uptime_s, 3),
        "connections": connections,
        "subscribers": len(subscribers),
        "subscriptions": sum(
            sum(map(len, hub.router.subscriptions(subscriber))) for subscriber in subscribers
        ),
        "published": counters.published,
        "delivered": counters.delivered,
        "dropped": counters.dropped_with_subscriber + sum(s.dropped for s in subscribers),
        "queued": sum(subscriber.queued for subscriber in subscribers),
        "announced": counters.announced,
        "errors": counters.errors,
        "retries": counters.retries,
        "refused": counters.refused,
        "refusals": refusals,
        "held": hub.held,
        "lost": [lost.plain() for lost in hub.lost],
        "roster_errors": hub.keeper.errors if hub.keeper is not None else 0,
    }


def subscriptions(hub: Broker) -> list[SubscriberInfo]:
    """Return every subscriber with its subscriptions."""
    return [_describe(hub, subscriber) for subscriber in hub.subscribers()]


def _describe(hub: Broker, subscriber: BrokerSubscriber) -> SubscriberInfo:
    subjects, patterns = hub.router.subscriptions(subscriber)
    return {
        "subscriber": subscriber.name,
        "kind": subscriber.kind,
        "aware": subscriber.aware,
        "subjects": subjects,
        "patterns": patterns,
        "suspended": hub.router.suspended(subscriber),
        "queued": subscriber.queued,
        "queue_size": cast("int", subscriber.options.queue_size),
        "when_full": cast("WhenFull", subscriber.options.when_full),
        "delivered": subscriber.delivered,
        "dropped": subscriber.dropped,
        "errors": subscriber.errors,
        "state": subscriber.state,
    }
