"""The roster's journal: records, with lengths and checksums, and what they add up to. Pure.

The first record is a header; then come, in any order, `has` (a slot of the counter file belongs to
this subscriber), `pub` (it belongs to this publisher) and `gone` (it is free). A later record about
a slot replaces the earlier ones. A process that is killed may leave half a record at
the end, which counts as not written; anything else that doesn't fit makes the whole unreadable.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack

from pyro_events._broker.principal import Principal
from pyro_events._broker.snapshot.model import (
    FORMAT,
    LostSubscriber,
    SubscriberSnapshot,
    UnreadableSnapshot,
    check_format,
    lost_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FRAME = struct.Struct(">III")
"""The record's length, the CRC-32 of the length, and that of the record."""


@dataclass(slots=True)
class Roster:
    """What a journal adds up to. The keys are slots of `counter_file`, a file name."""

    incarnation: str
    counter_file: str
    lost: list[LostSubscriber]
    subscribers: dict[int, SubscriberSnapshot] = field(default_factory=dict)
    publishers: dict[int, tuple[Principal, str]] = field(default_factory=dict)


def header(incarnation: str, counter_file: str, lost: Sequence[LostSubscriber]) -> bytes:
    """Return the record that a journal begins with."""
    return _record(["roster", FORMAT, incarnation, counter_file, [each.plain() for each in lost]])


def has(slot: int, saved: SubscriberSnapshot) -> bytes:
    """Return the record of a subscriber."""
    return _record(["has", slot, saved.plain()])


def pub(slot: int, owner: Principal, name: str) -> bytes:
    """Return the record of a publisher."""
    return _record(["pub", slot, owner, name])


def gone(slot: int) -> bytes:
    """Return the record of a slot that is free."""
    return _record(["gone", slot])


def replay(data: bytes) -> Roster:
    """Return what a journal adds up to; raises UnreadableSnapshot."""
    records = _records(data)
    try:
        kind, version, incarnation, counter_file, lost = next(records)
        check_format(version)
        if kind != "roster":
            raise UnreadableSnapshot("it doesn't begin with a header")
        roster = Roster(incarnation, counter_file, lost_of(lost))
        for what, slot, *rest in records:
            roster.subscribers.pop(slot, None)
            roster.publishers.pop(slot, None)
            if what == "has":
                roster.subscribers[slot] = SubscriberSnapshot.of(rest[0])
            elif what == "pub":
                owner, name = rest
                roster.publishers[slot] = Principal(*owner), name
            elif what != "gone":
                raise UnreadableSnapshot(f"a record of the unknown kind {what!r}")
    except StopIteration:
        raise UnreadableSnapshot("it is empty") from None
    except (TypeError, ValueError, IndexError) as error:
        raise UnreadableSnapshot(f"an invalid record: {error}") from None
    return roster


def _record(values: list[Any]) -> bytes:
    data = bytes(msgpack.packb(values))
    return _FRAME.pack(len(data), _check(len(data)), zlib.crc32(data)) + data


def _check(size: int) -> int:
    return zlib.crc32(size.to_bytes(4, "big"))


def _records(data: bytes) -> Iterator[Any]:
    at = 0
    while len(data) - at >= _FRAME.size:
        size, check, checksum = _FRAME.unpack_from(data, at)
        if check != _check(size):
            raise UnreadableSnapshot(f"a length is wrong at byte {at}")
        at += _FRAME.size
        body = data[at : at + size]
        at += size
        if len(body) < size:
            return
        if zlib.crc32(body) != checksum:
            raise UnreadableSnapshot(f"a checksum is wrong at byte {at - size}")
        yield msgpack.unpackb(body)
