"""What travels: an event, and the name under which the event service is registered."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgpack

from pyro_events import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

EVENTSERVICE_NAME = "Pyro.EventService"
"""The event service's name in the name server, and the id of its object."""

CLASS_NAME = "pyro_events.Event"
"""What Pyro5's serializers call the class."""

CALLS_NAME = "pyro_events.Calls"
"""What they call the events of a whole batch."""

_MOST = 1 << 16
"""Events in a batch, whoever sends it; the event service sends far fewer."""

Item = tuple[str, float, bytes, bool]
"""An event under way: subject, time, packed message, and whether the message is opaque bytes."""

Call = tuple[str, "Iterable[Event]", dict[str, Any]]
"""A method, its arguments, its keyword arguments."""


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

    They learn as well what the event service sends to a Pyro5 daemon: many events at once, which
    turn into the calls of a `<batch>` over there.
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

    def from_dict(_name: str, values: dict[str, Any]) -> Event:
        return Event(values["subject"], recreate(values["msg"]), values["time"])

    def unpack(body: bytes) -> Any:
        try:
            return codec.unpack(body)
        except ValueError:
            # There may be objects of classes that only Pyro5 was told of.
            return recreate(stranger.unpack(body))

    SerializerBase.register_class_to_dict(Event, to_dict)
    SerializerBase.register_dict_to_class(CLASS_NAME, from_dict)
    SerializerBase.register_dict_to_class(
        CALLS_NAME, lambda _, values: _calls(values["events"], unpack)
    )


def _calls(events: bytes, unpack: Callable[[bytes], Any]) -> Iterable[Call]:
    """Give a call of `event` for each of the packed (subject, time, message, opaque).

    Pyro5's daemon (Pyro5/server.py, handleRequest) goes through the calls of a batch one by one,
    whatever holds them. Made here, together, they cost half of what Pyro5 takes for one by one.
    """
    entries = msgpack.unpackb(events, use_list=False, max_array_len=_MOST)
    subjects, times, bodies, opaque = zip(*entries, strict=True)
    arguments: Iterable[Iterable[Event]]
    try:
        if any(opaque):
            raise ValueError("not all are messages")  # noqa: TRY301 - as if one couldn't be read
        arguments = zip(map(Event, subjects, codec.unpack_all(bodies), times))
    except ValueError:
        arguments = [_argument(unpack, *entry) for entry in entries]
    return zip(repeat("event"), arguments, repeat({}))


def _argument(
    unpack: Callable[[bytes], Any], subject: str, time: float, body: bytes, opaque: bool
) -> Iterable[Event]:
    try:
        return (Event(subject, body if opaque else unpack(body), time),)
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends the call, not the batch
        return _Unreadable(error)


class _Unreadable:
    """Arguments of a call that fails: its event can't be recreated here."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __iter__(self) -> Iterator[Event]:
        raise self._error
