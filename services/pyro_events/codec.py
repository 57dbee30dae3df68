"""Messages as bytes: msgpack, with a tag before each type that msgpack doesn't have.

A message is None, bool, int, float, str, bytes, list and dict of such, and with tags: tuple, set,
frozenset, complex, date, time, datetime, timedelta, Decimal, UUID, an int of any size, a dict with
any keys, and registered classes. It arrives as it left, type and value. Types are compared
exactly: a subclass (an IntEnum, a namedtuple, a numpy scalar) would arrive as something else, so
it is refused, unless it is registered.

A tagged value is an array whose first element is the extension type `(code, no data)`. So nothing
nests byte strings in byte strings, and msgpack's own limit on depth holds for everything.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
_all_plain = _PLAIN.issuperset

(_TUPLE, _SET, _FROZENSET, _DICT, _CLASS, _INT, _COMPLEX, _DATE, _TIME, _DATETIME) = range(1, 11)
(_TIMEDELTA, _DECIMAL, _UUID) = range(11, 14)


class _Tag:
    """What an extension type is while its array is still being read."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


_MARK = {code: msgpack.ExtType(code, b"") for code in range(_TUPLE, _UUID + 1)}
_TAG = {code: _Tag(code) for code in _MARK}


class Codec:
    """The tagged codec with the classes that were registered with it.

    `unknown(name, state)` makes the object for a class that isn't registered here; by default it
    is an error. Packing and unpacking may be done by any number of threads at once.
    """

    def __init__(self, unknown: Callable[[str, dict[str, Any]], Any] | None = None) -> None:
        self._unknown = unknown
        self._names: dict[type, str] = {}
        self._from_dict: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self._encoders: dict[type, Callable[[Any], Any]] = {
            **_SCALARS,
            list: self._list,
            dict: self._dict,
            tuple: lambda value: [_MARK[_TUPLE], *self._items(value)],
            set: lambda value: [_MARK[_SET], *self._items(value)],
            frozenset: lambda value: [_MARK[_FROZENSET], *self._items(value)],
        }
        self._decoders: dict[int, Callable[[list[Any]], Any]] = {
            **_DECODERS,
            _CLASS: self._object,
        }

    def register(
        self,
        cls: type[T],
        name: str,
        to_dict: Callable[[T], dict[str, Any]],
        from_dict: Callable[[dict[str, Any]], T],
    ) -> None:
        """Let objects of exactly this class travel under `name`, as the dict that `to_dict` gives.

        Raises ValueError when the class is one that travels anyway or the name is taken.
        """
        if cls in _PLAIN or (cls in self._encoders and cls not in self._names):
            raise ValueError(f"{cls.__qualname__} travels as it is; it can't be registered")
        if name in self._from_dict and self._names.get(cls) != name:
            raise ValueError(f"the name {name!r} is registered for another class")
        self._from_dict.pop(self._names.get(cls, ""), None)
        self._names[cls] = name
        self._from_dict[name] = from_dict
        self._encoders[cls] = lambda value: [_MARK[_CLASS], name, self._encode(to_dict(value))]

    def pack(self, message: Any) -> bytes:
        """Give the message as bytes.

        Raises TypeError that says where in the message a value of another type is, and ValueError
        for what is nested too deeply or text that is no Unicode.
        """
        try:
            packed: bytes = msgpack.packb(
                self._encode(message), strict_types=True, default=_big_int
            )
        except _UnsupportedError as error:
            raise error.named("message") from None
        except RecursionError:
            raise ValueError("message is nested too deeply") from None
        return packed

    def unpack(self, data: bytes | memoryview) -> Any:
        """Give the message that `pack` made these bytes of.

        Raises ValueError for anything else, and when the message has an object of a class that
        isn't registered here.
        """
        try:
            message = msgpack.unpackb(
                data, strict_map_key=False, list_hook=self._list_hook, ext_hook=_ext_hook
            )
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"not a message: {type(error).__name__}: {error}") from error
        if type(message) is _Tag:
            raise ValueError("not a message: a tag without a value")
        return message

    def _encode(self, value: Any) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        encoder = self._encoders.get(kind)
        if encoder is None:
            raise _UnsupportedError(value)
        return encoder(value)

    def _items(self, values: Any) -> Any:
        if _all_plain(map(type, values)):
            return values
        encoded = []
        for index, value in enumerate(values):
            try:
                encoded.append(self._encode(value))
            except _UnsupportedError as error:
                raise error.within(
                    f"[{index}]" if type(values) in (list, tuple) else "{…}"
                ) from None
        return encoded

    def _list(self, value: list[Any]) -> Any:
        return self._items(value)

    def _dict(self, value: dict[Any, Any]) -> Any:
        plain_keys = _all_plain(map(type, value))
        if plain_keys and _all_plain(map(type, value.values())):
            return value
        encoded = {}
        for key, item in value.items():
            try:
                encoded[key] = self._encode(item)
            except _UnsupportedError as error:
                raise error.within(f"[{key!r}]") from None
        if plain_keys:
            return encoded
        flat: list[Any] = [_MARK[_DICT]]
        for key, item in encoded.items():
            try:
                flat.append(self._encode(key))
            except _UnsupportedError as error:
                raise error.within(f" (key {key!r:.40})") from None
            flat.append(item)
        return flat

    def _list_hook(self, items: list[Any]) -> Any:
        if items and type(items[0]) is _Tag:
            return self._decoders[items[0].code](items)
        return items

    def _object(self, items: list[Any]) -> Any:
        _, name, state = items
        if name in self._from_dict:
            return self._from_dict[name](state)
        if self._unknown is not None:
            return self._unknown(name, state)
        raise ValueError(f"the class {name!r} of an object in the message isn't registered here")


class _UnsupportedError(Exception):
    """A value that can't travel, on its way out to where the whole message is known."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value
        self.path = ""

    def within(self, step: str) -> _UnsupportedError:
        self.path = step + self.path
        return self

    def named(self, root: str) -> TypeError:
        cls = type(self.value)
        name = (
            cls.__qualname__
            if cls.__module__ == "builtins"
            else f"{cls.__module__}.{cls.__qualname__}"
        )
        return TypeError(
            f"{root}{self.path}: {name} can't be sent; use a type that can, or register the class"
        )


def _ext_hook(code: int, data: bytes) -> _Tag:
    if data or code not in _TAG:
        raise ValueError(f"not a message: extension type {code}")
    return _TAG[code]


def _big_int(value: Any) -> Any:
    """Encode what msgpack itself refuses, which is an int of more than 64 bits."""
    if type(value) is not int:
        raise TypeError(f"{type(value).__name__} slipped through the encoder")
    return [_MARK[_INT], value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)]


def _encode_zone(zone: tzinfo | None) -> Any:
    """Encode a fixed offset as (seconds, microseconds, name), a zone of the database as its key."""
    if zone is None:
        return None
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        name = zone.tzname(None)
        shown = None if name == timezone(offset).tzname(None) else name
        return [offset.days * 86400 + offset.seconds, offset.microseconds, shown]
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - few messages have one

    if type(zone) is ZoneInfo and zone.key is not None:
        return zone.key
    raise _UnsupportedError(zone).within(".tzinfo")


def _decode_zone(given: Any) -> tzinfo | None:
    if given is None:
        return None
    if isinstance(given, str):
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - few messages have one

        return ZoneInfo(given)
    seconds, microseconds, name = given
    offset = timedelta(seconds=seconds, microseconds=microseconds)
    return timezone(offset) if name is None else timezone(offset, name)


def _encode_time(value: time) -> list[Any]:
    clock = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return [_MARK[_TIME], *clock, _encode_zone(value.tzinfo)]


def _decode_time(items: list[Any]) -> time:
    _, hour, minute, second, microsecond, fold, zone = items
    return time(hour, minute, second, microsecond, _decode_zone(zone), fold=fold)


def _encode_datetime(value: datetime) -> list[Any]:
    clock = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return [_MARK[_DATETIME], value.toordinal(), *clock, _encode_zone(value.tzinfo)]


def _decode_datetime(items: list[Any]) -> datetime:
    _, day, *clock, fold, zone = items
    hour, minute, second, microsecond = clock
    at = time(hour, minute, second, microsecond, _decode_zone(zone), fold=fold)
    return datetime.combine(date.fromordinal(day), at)


def _decode_dict(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[1::2], items[2::2], strict=True))


_SCALARS: dict[type, Callable[[Any], Any]] = {
    complex: lambda value: [_MARK[_COMPLEX], value.real, value.imag],
    date: lambda value: [_MARK[_DATE], value.toordinal()],
    time: _encode_time,
    datetime: _encode_datetime,
    timedelta: lambda value: [_MARK[_TIMEDELTA], value.days, value.seconds, value.microseconds],
    Decimal: lambda value: [_MARK[_DECIMAL], str(value)],
    UUID: lambda value: [_MARK[_UUID], value.bytes],
}

_DECODERS: dict[int, Callable[[list[Any]], Any]] = {
    _TUPLE: lambda items: tuple(items[1:]),
    _SET: lambda items: set(items[1:]),
    _FROZENSET: lambda items: frozenset(items[1:]),
    _DICT: _decode_dict,
    _INT: lambda items: int.from_bytes(items[1], "big", signed=True),
    _COMPLEX: lambda items: complex(items[1], items[2]),
    _DATE: lambda items: date.fromordinal(items[1]),
    _TIME: _decode_time,
    _DATETIME: _decode_datetime,
    _TIMEDELTA: lambda items: timedelta(items[1], items[2], items[3]),
    _DECIMAL: lambda items: Decimal(items[1]),
    _UUID: lambda items: UUID(bytes=items[1]),
}

_default = Codec()

pack = _default.pack
unpack = _default.unpack


def register(
    cls: type[T],
    name: str,
    to_dict: Callable[[T], dict[str, Any]],
    from_dict: Callable[[dict[str, Any]], T],
) -> None:
    """Register a class with the codec of this process; see `Codec.register`.

    Do it in publishers and in subscribers; the event service need not know the class. Pyro5's
    serializers learn it as well, for subscribers that are called back and for bare proxies.
    """
    from Pyro5.serializers import SerializerBase  # noqa: PLC0415 - the codec itself needs no Pyro5

    _default.register(cls, name, to_dict, from_dict)
    SerializerBase.register_class_to_dict(cls, lambda obj: {"__class__": name, **to_dict(obj)})
    SerializerBase.register_dict_to_class(
        name, lambda _, state: from_dict({k: v for k, v in state.items() if k != "__class__"})
    )
