"""What the event service reports about itself: counters, and who is subscribed to what."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pyro_events import codec
from pyro_events._broker.principal import short_hash

if TYPE_CHECKING:
    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.principal import Principal
    from pyro_events.types import (
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
        "codec": codec.library,
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
