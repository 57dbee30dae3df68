"""What travels: an event, and the name under which the event service is registered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EVENTSERVICE_NAME = "Pyro.EventService"
"""The event service's name in the name server, and the id of its object."""

_CLASS_NAME = "pyro_events.Event"


@dataclass(slots=True)
class Event:
    """One message about one subject, as a subscriber gets it."""

    subject: str
    """As the publisher wrote it; matching ignores case."""
    msg: Any
    time: float
    """Seconds since the epoch by the event service's clock, equal for all subjects of a publish."""


def register_event_class() -> None:
    """Teach Pyro5's serializers to send and to receive `Event`; `import pyro_events` does it."""
    from Pyro5.serializers import SerializerBase, serializers  # noqa: PLC0415 - only the codec is needed by readers of Event

    # Some serializers have recreated nested classes before they call us, others leave it to us.
    recreate = serializers["serpent"].recreate_classes

    def to_dict(event: Event) -> dict[str, Any]:
        return {
            "__class__": _CLASS_NAME,
            "subject": event.subject,
            "msg": event.msg,
            "time": event.time,
        }

    def from_dict(_name: str, values: dict[str, Any]) -> Event:
        return Event(values["subject"], recreate(values["msg"]), values["time"])

    SerializerBase.register_class_to_dict(Event, to_dict)
    SerializerBase.register_dict_to_class(_CLASS_NAME, from_dict)
