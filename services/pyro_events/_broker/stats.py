"""What the event service tells about itself: counters, and who is subscribed to what."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber


def statistics(hub: Broker) -> dict[str, object]:
    """Give the counters since the start, and how things are now.

    `delivered` counts what subscribers took, `dropped` what was lost to them, `announced` the
    manager's events, `errors` what their `event` failed on, `refused` calls that ended with an
    exception, `held` publishers that wait; `lost` lists the plain subscribers that crashes have
    cost since the last planned restart, and `roster_errors` says how often the state directory
    could not be written to.
    """
    counters = hub.counters
    subscribers = list(hub.subscribers())
    return {
        **hub.identity,
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
        "held": hub.held,
        "lost": [lost.plain() for lost in hub.lost],
        "roster_errors": hub.keeper.errors if hub.keeper is not None else 0,
    }


def subscriptions(hub: Broker) -> list[dict[str, object]]:
    """Give a dict for every subscriber, with its subscriptions as it wrote them."""
    return [_describe(hub, subscriber) for subscriber in hub.subscribers()]


def _describe(hub: Broker, subscriber: BrokerSubscriber) -> dict[str, object]:
    subjects, patterns = hub.router.subscriptions(subscriber)
    return {
        "subscriber": subscriber.name,
        "kind": subscriber.kind,
        "aware": subscriber.aware,
        "subjects": subjects,
        "patterns": patterns,
        "suspended": hub.router.suspended(subscriber),
        "queued": subscriber.queued,
        "queue_size": subscriber.options.queue_size,
        "when_full": subscriber.options.when_full,
        "delivered": subscriber.delivered,
        "dropped": subscriber.dropped,
        "errors": subscriber.errors,
        "state": subscriber.state,
    }
