"""Events as bytes for subscribers, encoded once however many subscribers share them.

A stream gets the msgpack list of its events. A stock Pyro5 daemon gets calls of `event`: many in
one `<batch>` request where that is possible. We may choose the serializer for each request, since
every daemon reads all of those that it has (Pyro5/server.py, handleRequest):

* msgpack, in a batch, for every `Event`: it carries what a stream carries, the packed messages as
  they came from the publishers. `pyro_events._protocol.event` makes the calls of it in the daemon,
  with all the types that the codec knows.

Subscribers that want dicts, and daemons without msgpack, get plain values of the message:

* msgpack, in a batch, for messages that it carries without change. The message's own bytes are
  spliced in; they were checked to be one complete value.
* marshal, one request an event, for what else it carries (tuples, sets, …). Not in a batch: a
  daemon can't encode an exception among the results in marshal, and then it is unknown how many
  of the calls ran. Version 2, because later ones refer back by index and can't be spliced.
* serpent, in a batch, for everything else.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import ValuesView
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import msgpack
import serpent
from Pyro5.serializers import SerializerBase, serializers

from pyro_events._broker.delivery.items import singles
from pyro_events._protocol.decode_limits import check_msgpack
from pyro_events._protocol.event import CALLS_NAME, CLASS_NAME, Event
from pyro_events._protocol.runs import count_of, events_in
from pyro_events.codec import Codec
from pyro_wire import framing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyro_events._protocol.event import Item, Queued

T = TypeVar("T", "bytes", "Group")

UNENCODABLE: Final = 0
"""The serializer number of an event that no serializer takes."""

_MARSHAL_VERSION: Final = 2
_MANY: Final = 200_000
"""Lists and dicts in a message that has to be unpacked here, which takes 16 MB or more."""
_KEPT: Final = 1 << 20
"""Bytes that are kept from round to round, for subscribers that get the same a little later."""


class Variant(NamedTuple):
    """What a callback subscriber understands."""

    as_dict: bool
    """It gets a dict instead of an Event."""
    msgpack: bool
    """It has msgpack installed."""


class Group(NamedTuple):
    """The first `events` of some events, ready to be sent to a subscriber.

    `parts` is the shared rest of the one request (a batch), or of each request (marshal).
    """

    serializer: int
    events: int
    parts: tuple[bytes, ...]
    classes: frozenset[str] = frozenset()
    """The registered classes that a daemon needs to decode any of the events."""


class _Call(NamedTuple):
    """One event as the arguments of a call."""

    serializer: int
    data: bytes
    classes: frozenset[str]


class Encoder:
    """Encodes, and keeps the results for a while; `trim` is called after every round."""

    def __init__(self) -> None:
        self.pack: Callable[[object], bytes] = msgpack.Packer().pack
        """Pack what is plain already."""
        self._codec = Codec(unknown=self._class_dict)
        self._named: set[str] = set()
        """Classes in the message that is being unpacked."""
        self._bodies: dict[object, tuple[Sequence[Queued], Any]] = {}
        """The oldest first."""
        self._size = 0
        self._calls: dict[tuple[int, Variant], tuple[Item, _Call]] = {}
        self._singles: dict[int, tuple[Queued, list[Item]]] = {}
        """The events of runs in this round, one by one; as in `_bodies`, the ids stay unique."""

    def trim(self) -> None:
        """Forget what was encoded, except the most recent."""
        self._calls.clear()
        self._singles.clear()
        while self._size > _KEPT:
            _, found = self._bodies.pop(next(iter(self._bodies)))
            self._size -= _size(found)

    def singles(self, items: Sequence[Queued]) -> list[Item]:
        """Return the events one by one, the same objects for all subscribers."""
        if events_in(items) == len(items):
            return items  # type: ignore[return-value] # without runs
        found: list[Item] = []
        for item in items:
            if count_of(item) == 1:
                found.append(item)  # type: ignore[arg-type] # no run
                continue
            known = self._singles.get(id(item))
            if known is None:
                known = self._singles[id(item)] = (item, singles([item]))
            found += known[1]
        return found

    def stream_body(self, items: Sequence[Queued]) -> bytes:
        """Return the list of events as a stream carries it."""
        return self._shared("stream", items, self.pack)

    def group(self, items: list[Item], variant: Variant) -> Group:
        """Return the first of these events, as many as fit one request, as calls of `event`."""
        return self._shared(variant, items, lambda items: self._group(items, variant))

    def _shared(self, kind: object, items: Sequence[Queued], encode: Callable[[Any], T]) -> T:
        # Lists of the same objects are compared in no time. The items are kept alive, so that their
        # ids stay unique.
        key = (kind, id(items[0]), len(items))
        known = self._bodies.get(key)
        if known is None or known[0] != items:
            known = self._bodies[key] = (items, encode(items))
            self._size += len(known[1]) if type(known[1]) is bytes else _size(known[1])
        found: T = known[1]
        return found

    def _group(self, items: list[Item], variant: Variant) -> Group:
        if variant.msgpack and not variant.as_dict:
            events = self.stream_body(items)
            body = _CALLS + len(events).to_bytes(4, "big") + events + _NIL
            return Group(framing.MSGPACK, len(items), (body,), _BATCH_CLASSES)
        first = self._call(items[0], variant)
        encoded = [first.data]
        for item in items[1:]:
            call = self._call(item, variant)
            if (call.serializer, call.classes) != (first.serializer, first.classes):
                break
            encoded.append(call.data)
        parts = tuple(encoded)
        if first.serializer == framing.MSGPACK:
            parts = (array_header(len(encoded)) + b"".join(encoded) + _NIL,)
        elif first.serializer == framing.SERPENT:
            parts = (b"[" + b",".join(encoded) + b"],None)",)
        return Group(first.serializer, len(encoded), parts, first.classes)

    def _call(self, item: Item, variant: Variant) -> _Call:
        key = (id(item), variant)
        known = self._calls.get(key)
        if known is None:
            known = self._calls[key] = (item, self._encode(item, variant))
        return known[1]

    def _class_dict(self, name: str, state: dict[str, Any]) -> dict[str, Any]:
        self._named.add(name)
        return {"__class__": name, **state}

    def _encode(self, item: Item, variant: Variant) -> _Call:
        subject, time, body, opaque = item
        try:
            if not opaque:
                check_msgpack(body, _MANY)
            if variant.msgpack and (opaque or _is_plain(body)):
                message = self.pack(body) if opaque else body
                parts = (_START, self.pack(subject), _MSG, message, _TIME, _double(time), b"\x80")
                return _Call(framing.MSGPACK, b"".join(parts), frozenset())
            self._named.clear()
            message = body if opaque else self._codec.unpack(body)
            if b"__class__" in body and not opaque:
                self._named.update(_class_names(message))
        except Exception:  # noqa: BLE001 - damaged bodies make msgpack raise anything
            return _Call(UNENCODABLE, b"", frozenset())
        event: object = {"subject": subject, "msg": message, "time": time}
        if not variant.as_dict:
            event = Event(subject, message, time)
            self._named.add(CLASS_NAME)
        classes = frozenset(self._named)
        for serializer, encode in (
            (framing.MARSHAL, _marshal_call),
            (framing.SERPENT, _serpent_call),
        ):
            try:
                return _Call(serializer, encode(event), classes)
            except Exception:  # noqa: BLE001, S112 - each fails in its own way; the next may work
                continue
        return _Call(UNENCODABLE, b"", classes)


def _size(encoded: bytes | Group) -> int:
    return len(encoded) if isinstance(encoded, bytes) else sum(map(len, encoded.parts))


def prefix(serializer: int, object_id: str) -> bytes:
    """Return the start of a request to that object, before the shared rest of a Group."""
    if serializer == framing.MSGPACK:
        return b"\x94" + _packb(object_id) + _packb("<batch>")
    if serializer == framing.MARSHAL:
        parts = (object_id, "event")
        return b"(" + struct.pack("<i", 4) + b"".join(map(_dump_marshal, parts))
    header, _, text = serpent.dumps(object_id).partition(b"\n")
    return bytes(header + b"\n(" + text + b",'<batch>',")


def array_header(count: int) -> bytes:
    """Return msgpack's start of a list of `count` elements."""
    if count < 16:  # noqa: PLR2004 - the format's limits
        return bytes((0x90 | count,))
    if count < 1 << 16:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def _packb(value: object) -> bytes:
    return bytes(msgpack.packb(value))


def _dump_marshal(value: Any) -> bytes:
    return marshal.dumps(value, _MARSHAL_VERSION)


_NIL: Final = b"\xc0"
_BATCH_CLASSES: Final = frozenset({CALLS_NAME})
_CALLS: Final = b"\x82" + _packb("__class__") + _packb(CALLS_NAME) + _packb("events") + b"\xc6"
"""A dict of the class and the events, up to the length of the latter's bytes."""
_START: Final = b"\x93" + _packb("event") + b"\x91\x83" + _packb("subject")
_MSG: Final = _packb("msg")
_TIME: Final = _packb("time") + b"\xcb"
_double: Final = struct.Struct(">d").pack


def _is_plain(body: bytes) -> bool:
    """Return whether Pyro5's msgpack serializer makes the same message of these bytes."""
    if b"__class__" in body:
        return False
    try:
        msgpack.unpackb(body, raw=False, ext_hook=_refuse_extension)
    except Exception:  # noqa: BLE001 - whatever is wrong, another serializer is tried
        return False
    return True


def _class_names(value: object) -> Iterator[str]:
    """Yield what Pyro5's serializers will take for the names of classes in a message."""
    if isinstance(value, dict):
        if "__class__" in value:
            yield str(value["__class__"])
        value = value.values()
    if isinstance(value, (list, tuple, ValuesView)):
        for each in value:
            yield from _class_names(each)


def _refuse_extension(_code: int, _data: bytes) -> object:
    raise ValueError("msgpack alone doesn't carry that value")


def _marshal_call(event: object) -> bytes:
    if isinstance(event, Event):
        event = SerializerBase.class_to_dict(event)
    return _dump_marshal([event]) + _dump_marshal({})


def _serpent_call(event: object) -> bytes:
    text = serializers["serpent"].dumps(("event", (event,), {}))
    return bytes(text.partition(b"\n")[2])
