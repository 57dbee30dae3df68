"""An event, its forms in Pyro5's serializers, and the event service's name."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from pyro_events import codec
from pyro_events._protocol.numbering import ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

EVENTSERVICE_NAME = "Pyro.EventService"
"""The event service's name in the name server, and the id of its object."""

HELPER_PROTOCOL = 2
"""The version of the protocol between helpers and event service, beyond Pyro5's."""

CLASS_NAME = "pyro_events.Event"
"""The name of the class in Pyro5's serializers."""

CALLS_NAME = "pyro_events.Calls"
"""The name of the events of a whole batch there."""

_MAX_BATCH = 1 << 16
"""Events that a batch may have; the event service sends far fewer."""

Item = tuple[str, float, bytes, bool]
"""An event under way: subject, time, packed message, and whether the message is opaque bytes."""

Run = tuple[str, float, bytes, bool, int]
"""Consecutive ones of a subject and a time: all messages, False, and their number; see `runs`."""

Queued = Item | Run

Call = tuple[str, "Iterable[Event | Undecodable]", dict[str, Any]]
"""A method, its arguments, its keyword arguments."""


@dataclass(slots=True)
class Event:
    """One message about one subject, as a subscriber receives it."""

    subject: str
    """As the publisher wrote it; matching ignores case."""
    msg: Any
    """The message, with the types and values that were published."""
    time: float
    """Seconds since the epoch by the event service's clock, equal for all subjects of a publish."""


class Undecodable(NamedTuple):
    """An event whose message can't be decoded here."""

    subject: str
    reason: str


def register_event_class() -> None:
    """Register `Event` with Pyro5's serializers; `import pyro_events` does it.

    It also registers what the event service sends to a Pyro5 daemon: many events at once, which
    are decoded to the calls of a `<batch>`.
    """
    from Pyro5.serializers import SerializerBase, serializers  # noqa: PLC0415 - only the codec is needed by readers of Event

    # Some serializers have recreated nested classes before they call us, others leave it to us.
    recreate = serializers["serpent"].recreate_classes
    lenient = codec.Codec(unknown=lambda name, state: {"__class__": name, **state})

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
            # There may be objects of classes that are registered with Pyro5 only.
            return recreate(lenient.unpack(body))

    SerializerBase.register_class_to_dict(Event, to_dict)
    SerializerBase.register_dict_to_class(CLASS_NAME, from_dict)
    SerializerBase.register_dict_to_class(
        CALLS_NAME, lambda _, values: _calls(values["events"], unpack)
    )


def _calls(events: bytes, unpack: Callable[[bytes], Any]) -> Iterable[Call]:
    """Return a call of `event` for each of the packed (subject, time, message, opaque).

    Pyro5's daemon (Pyro5/server.py, handleRequest) iterates over the calls of a batch, whatever
    holds them. Decoded here, together, they cost half of what they cost one by one in Pyro5.
    """
    entries = msgpack.unpackb(events, use_list=False, max_array_len=_MAX_BATCH)
    subjects, times, bodies, opaque = zip(*entries, strict=True)
    arguments: Iterable[Iterable[Event | Undecodable]]
    try:
        if any(opaque):
            raise ValueError("not all are messages")  # noqa: TRY301 - handled like an unreadable one
        arguments = zip(map(Event, subjects, codec.unpack_all(bodies), times))
    except ValueError:
        arguments = [_argument(unpack, *entry) for entry in entries]
    return zip(repeat("event"), arguments, repeat({}))


def _argument(
    unpack: Callable[[bytes], Any], subject: str, time: float, body: bytes, opaque: bool
) -> Iterable[Event | Undecodable]:
    try:
        return (Event(subject, body if opaque else unpack(body), time),)
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends the call, not the batch
        return _Unreadable(subject, error)


class _Unreadable:
    """Arguments of a call whose event can't be decoded here.

    A helper reports it itself; in other objects' daemons the call fails.
    """

    def __init__(self, subject: str, error: Exception) -> None:
        self._subject = subject
        self._error = error

    def __iter__(self) -> Iterator[Undecodable]:
        from Pyro5.callcontext import current_context  # noqa: PLC0415 - as above

        if ANNOTATION not in current_context.annotations:
            raise self._error
        return iter((Undecodable(self._subject, str(self._error)),))
