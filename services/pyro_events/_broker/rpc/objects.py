"""The objects that clients reach: the event service, and what they need of a Pyro5 daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from Pyro5.core import DAEMON_NAME
from Pyro5.errors import DaemonError

from pyro_events._broker.rpc.remote import EventServiceObject
from pyro_events._protocol.event import EVENTSERVICE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.broker import Broker
    from pyro_events._broker.principal import Principal
    from pyro_events._broker.rpc.session import Session
    from pyro_events.types import EventServiceStatistics


def remote_objects(
    broker: Broker, statistics: Callable[[Principal], EventServiceStatistics]
) -> dict[str, Any]:
    """Return the objects that clients reach, by their ids."""
    service = EventServiceObject(broker, statistics)
    objects: dict[str, Any] = {EVENTSERVICE_NAME: service}
    objects[DAEMON_NAME] = DaemonObject(objects)
    return objects


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
        """Return the ids of the objects here."""
        return list(self._objects)

    def get_metadata(self, _session: Session | None, objectId: str) -> dict[str, object]:  # noqa: N803 - Pyro5's name
        """Return what a proxy asks about an object."""
        found = self._objects.get(objectId)
        if found is None:
            raise DaemonError("unknown object")
        return {"methods": set(found.public), "oneway": set(), "attrs": set()}
