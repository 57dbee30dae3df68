"""An event service for Pyro5: publish and subscribe between remote objects.

Importing this package registers `Event` with Pyro5's serializers; the helpers' modules are loaded
when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pyro_events._protocol.event import EVENTSERVICE_NAME, Event, register_event_class
from pyro_wire.environment import import_pyro5

if TYPE_CHECKING:
    from pyro_events.async_subscriber import AsyncSubscriber
    from pyro_events.ident import identified
    from pyro_events.publisher import Publisher
    from pyro_events.reconnecting import ReconnectingProxy
    from pyro_events.service import EventService
    from pyro_events.subscriber import Subscriber
    from pyro_events.tls import Tls

__all__ = [
    "EVENTSERVICE_NAME", "AsyncSubscriber", "Event", "EventService", "Publisher",
    "ReconnectingProxy", "Subscriber", "Tls", "identified",
]  # fmt: skip

import_pyro5()
Event.__module__ = __name__
register_event_class()

_MODULES = {
    "AsyncSubscriber": "pyro_events.async_subscriber",
    "EventService": "pyro_events.service",
    "Publisher": "pyro_events.publisher",
    "ReconnectingProxy": "pyro_events.reconnecting",
    "Subscriber": "pyro_events.subscriber",
    "identified": "pyro_events.ident",
    "Tls": "pyro_events.tls",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
