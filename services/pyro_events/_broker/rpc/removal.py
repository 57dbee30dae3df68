"""Ending what is not allowed any more: certificates, secrets and rights can be removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.rpc.door import Door
    from pyro_events._broker.rpc.session import Session


def end_removed(
    door: Door, broker: Broker, sessions: Collection[Session], changed: Collection[str]
) -> None:
    """Disconnect those who are not let in any more, and drop their subscribers.

    `changed` are the names of secrets, "" of the one without a name, that are others now: clients
    that had them are called back no more, while a stream can be continued with the new one.
    """
    for subscriber in broker.subscribers():
        owner, reason = subscriber.owner, None
        if door.is_removed(owner) or _had(subscriber, changed):
            reason = f"{owner} is not let in any more"
        elif subscriber.kind == "callback" and not broker.access.has_right(owner, "callback"):
            reason = f"no rule gives {owner} the right 'callback' any more"
        if reason is not None:
            subscriber.dismiss(reason)
            broker.drop(subscriber, reason)
    for session, reason in door.removed(sessions):
        session.end(reason)


def _had(subscriber: BrokerSubscriber, changed: Collection[str]) -> bool:
    """Return whether it is called, and was made with a secret that is another one now."""
    owner = subscriber.owner
    if subscriber.kind != "callback" or owner.evidence == "certificate":
        return False
    return (owner.name if owner.evidence == "secret" else "") in changed
