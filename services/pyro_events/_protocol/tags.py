"""The types that msgpack doesn't have: their tags, and how values are encoded and decoded.

A tagged value is an array whose first element is the extension type `(code, no data)`. So byte
strings are not nested in byte strings, and msgpack's own limit on depth holds for everything.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgpack

from pyro_events._protocol.collisions import check_keys

if TYPE_CHECKING:
    from collections.abc import Callable

(TUPLE, SET, FROZENSET, DICT, CLASS, INT, COMPLEX, DATE, TIME, DATETIME) = range(1, 11)
(TIMEDELTA, DECIMAL, UUID_) = range(11, 14)

_MAX_ZONE_NAME = 255


class Tag:
    """An extension type while its array is still being read."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


MARK = {code: msgpack.ExtType(code, b"") for code in range(TUPLE, UUID_ + 1)}
MARK_START = 0xC7
"""Every mark begins with this byte, msgpack's for an extension type of any length."""
TAG = {code: Tag(code) for code in MARK}


class UnsendableError(Exception):
    """A value that can't be sent; collects the path to it on the way out of the message."""

    def __init__(self, value: Any, reason: str | None = None) -> None:
        super().__init__()
        self.value = value
        self.reason = reason
        self.path = ""

    def within(self, step: str) -> UnsendableError:
        """Prepend a step from the container to the value."""
        self.path = step + self.path
        return self

    def named(self, root: str) -> TypeError:
        """Return the error for the user, with the path from `root` to the value."""
        cls = type(self.value)
        name = (
            cls.__qualname__
            if cls.__module__ == "builtins"
            else f"{cls.__module__}.{cls.__qualname__}"
        )
        reason = self.reason or "use a type that can, or register the class"
        if not self.reason and name.startswith("numpy."):
            reason = "call pyro_events.numpy_codec.register() here and in subscribers"
        return TypeError(f"{root}{self.path}: {name} can't be sent; {reason}")


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
    raise UnsendableError(zone).within(".tzinfo")


def _decode_zone(given: Any) -> tzinfo | None:
    if given is None:
        return None
    if isinstance(given, str):
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - few messages have one

        if len(given) > _MAX_ZONE_NAME:
            raise ValueError(f"a time zone's name has {len(given)} characters")
        return ZoneInfo(given)
    seconds, microseconds, name = given
    offset = timedelta(seconds=seconds, microseconds=microseconds)
    return timezone(offset) if name is None else timezone(offset, name)


def _encode_time(value: time) -> list[Any]:
    clock = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return [MARK[TIME], *clock, _encode_zone(value.tzinfo)]


def _decode_time(items: list[Any]) -> time:
    _, hour, minute, second, microsecond, fold, zone = items
    return time(hour, minute, second, microsecond, _decode_zone(zone), fold=fold)


def _encode_datetime(value: datetime) -> list[Any]:
    clock = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return [MARK[DATETIME], value.toordinal(), *clock, _encode_zone(value.tzinfo)]


def _decode_datetime(items: list[Any]) -> datetime:
    _, day, *clock, fold, zone = items
    hour, minute, second, microsecond = clock
    at = time(hour, minute, second, microsecond, _decode_zone(zone), fold=fold)
    return datetime.combine(date.fromordinal(day), at)


def _decode_members(items: list[Any]) -> list[Any]:
    members = items[1:]
    check_keys(members)
    return members


def _decode_dict(items: list[Any]) -> dict[Any, Any]:
    keys = items[1::2]
    check_keys(keys)
    return dict(zip(keys, items[2::2], strict=True))


def _decode_decimal(items: list[Any]) -> Decimal:
    _, text = items
    if type(text) is not str:  # an int would work, in time that grows with its square
        raise ValueError("not a message: a Decimal that is not text")
    return Decimal(text)


SCALARS: dict[type, Callable[[Any], Any]] = {
    complex: lambda value: [MARK[COMPLEX], value.real, value.imag],
    date: lambda value: [MARK[DATE], value.toordinal()],
    time: _encode_time,
    datetime: _encode_datetime,
    timedelta: lambda value: [MARK[TIMEDELTA], value.days, value.seconds, value.microseconds],
    Decimal: lambda value: [MARK[DECIMAL], str(value)],
    UUID: lambda value: [MARK[UUID_], value.bytes],
}

DECODERS: dict[int, Callable[[list[Any]], Any]] = {
    TUPLE: lambda items: tuple(items[1:]),
    SET: lambda items: set(_decode_members(items)),
    FROZENSET: lambda items: frozenset(_decode_members(items)),
    DICT: _decode_dict,
    INT: lambda items: int.from_bytes(items[1], "big", signed=True),
    COMPLEX: lambda items: complex(items[1], items[2]),
    DATE: lambda items: date.fromordinal(items[1]),
    TIME: _decode_time,
    DATETIME: _decode_datetime,
    TIMEDELTA: lambda items: timedelta(items[1], items[2], items[3]),
    DECIMAL: _decode_decimal,
    UUID_: lambda items: UUID(bytes=items[1]),
}
