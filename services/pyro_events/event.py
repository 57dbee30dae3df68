"""What travels: an event, and the name under which the event service is registered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyro_events import codec

EVENTSERVICE_NAME = "Pyro.EventService"
"""The event service's name in the name server, and the id of its object."""

CLASS_NAME = "pyro_events.Event"
"""What Pyro5's serializers call the class."""


@dataclass(slots=True)
class Event:
    """One message about one subject, as a subscriber gets it."""

    subject: str
    """As the publisher wrote it; matching ignores case."""
    msg: Any
    time: float
    """Seconds since the epoch by the event service's clock, equal for all subjects of a publish."""


def register_event_class() -> None:
    """Teach Pyro5's serializers to send and to receive `Event`; `import pyro_events` does it.

    The state of a received event has either `msg`, or `body`, which is a message of the codec. A
    body that the codec refuses is a ValueError for whoever decodes.
    """
    from Pyro5.serializers import SerializerBase, serializers  # noqa: PLC0415 - only the codec is needed by readers of Event

    # Some serializers have recreated nested classes before they call us, others leave it to us.
    recreate = serializers["serpent"].recreate_classes
    stranger = codec.Codec(unknown=lambda name, state: {"__class__": name, **state})

    def to_dict(event: Event) -> dict[str, Any]:
        return {
            "__class__": CLASS_NAME,
            "subject": event.subject,
            "msg": event.msg,
            "time": event.time,
        }

    def unpack(body: bytes) -> Any:
        try:
            return codec.unpack(body)
        except ValueError:
            # There may be objects of classes that only Pyro5 was told of.
            return recreate(stranger.unpack(body))

    def from_dict(_name: str, values: dict[str, Any]) -> Event:
        if "body" in values:
            return Event(values["subject"], unpack(values["body"]), values["time"])
        return Event(values["subject"], recreate(values["msg"]), values["time"])

    SerializerBase.register_class_to_dict(Event, to_dict)
    SerializerBase.register_dict_to_class(CLASS_NAME, from_dict)
