"""What the event service pushes over a stream, and what that means. Pure."""

from __future__ import annotations

from itertools import groupby, repeat
from typing import TYPE_CHECKING, Any

import msgpack

from pyro_events._protocol.event import Event, Undecodable
from pyro_events._protocol.runs import messages
from pyro_events.codec import unpack, unpack_all, unpack_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_EVENTS = b"\x92\xcf"
"""An array of two, the first an unsigned number of 64 bits: the delivery number of an event."""
_WITH_RUNS = b"\x93\xcf"
"""An array of three: that number, how many events there are (32 bits), and these."""
_NUMBERED = 10
"""Bytes of these and the number itself."""
_COUNTED = 15
"""The same with the count."""
_SINGLE = 4
"""Elements of a single event; a run has one more, the number of its events."""

_UINT32 = b"\xce"

_NONSENSE = (ValueError, TypeError, LookupError, RecursionError, msgpack.UnpackException)
"""What unpacking raises for bytes that no event service sends."""


class MailboxView:
    """The event service's mailbox for one subscriber, as seen from here.

    A new one begins whenever the event service doesn't know the old one any more.
    """

    __slots__ = ("complete", "incarnation", "last")

    def __init__(self, incarnation: str, last: int) -> None:
        self.incarnation = incarnation
        self.last = last
        """The delivery number of the last event that arrived."""
        self.complete = False
        """Whether that is the last one there was, as the event service reported when it ended."""

    def resume(self, incarnation: str, last: int) -> None:
        """Continue after the event with the number `last`, in that incarnation."""
        self.incarnation, self.last = incarnation, last

    def compare(self, first: int, count: int) -> tuple[int, int]:
        """Return how many of these events arrived before, and how many are missing before them."""
        return min(count, max(0, self.last + 1 - first)), max(0, first - self.last - 1)


def parse_push(data: bytes) -> tuple[int, int] | dict[str, Any]:
    """Return the first delivery number and the count of pushed events, or a notice.

    Raises ValueError for anything else.
    """
    if data.startswith(_EVENTS):
        return int.from_bytes(data[2:_NUMBERED], "big"), _array_size(data)
    if data.startswith(_WITH_RUNS) and data[_NUMBERED : _NUMBERED + 1] == _UINT32:
        count = int.from_bytes(data[_NUMBERED + 1 : _COUNTED], "big")
        return int.from_bytes(data[2:_NUMBERED], "big"), count
    try:
        push = msgpack.unpackb(data)
    except _NONSENSE as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    if isinstance(push, list) and len(push) == 2 and isinstance(push[1], dict):  # noqa: PLR2004 - nil and the notice
        return push[1]
    raise ValueError("neither events nor a notice")


def _array_size(data: bytes) -> int:
    """Read the size of the array of events (msgpack's fixarray, array 16 and array 32)."""
    kind = data[_NUMBERED] if len(data) > _NUMBERED else 0
    if kind & 0xF0 == 0x90:  # noqa: PLR2004 - the bits are msgpack's
        return kind & 0x0F
    if kind in (0xDC, 0xDD):
        width = 2 if kind == 0xDC else 4  # noqa: PLR2004 - the same
        return int.from_bytes(data[_NUMBERED + 1 : _NUMBERED + 1 + width], "big")
    raise ValueError("events are missing in a push")


def unpack_events(data: bytes, skip: int) -> Sequence[Event | Undecodable]:
    """Return the pushed events, except for the first `skip` of them.

    A single undecodable event stands for bytes that make no sense.
    """
    try:
        *_, entries = msgpack.unpackb(data, use_list=False)
        if not data.startswith(_WITH_RUNS):
            return _singles(entries[skip:])
        count = int.from_bytes(data[_NUMBERED + 1 : _COUNTED], "big")
        if len(entries) == count == 1 and len(entries[0]) == _SINGLE:
            return [_event(*entries[0])][skip:]
        events = _with_runs(entries)
        if not events or len(events) != count:
            raise ValueError("not as many events as it says")
        return events[skip:]
    except _NONSENSE as error:
        reason = f"{type(error).__name__}: {error}"  # repr(error) may quote all of the bytes
        return [Undecodable("", f"the event service sent nonsense: {reason}")]


def _with_runs(entries: Sequence[Any]) -> list[Event | Undecodable]:
    events: list[Event | Undecodable] = []
    for is_run, group in groupby(entries, lambda entry: len(entry) > _SINGLE):
        if is_run:
            for subject, time, body, _, count in group:
                events += _run(subject, time, body, count)
        else:
            events += _singles(list(group))
    return events


def _run(subject: str, time: float, body: bytes, count: int) -> Iterable[Event | Undecodable]:
    try:
        return map(Event, repeat(subject, count), unpack_run(body, count), repeat(time, count))
    except (ValueError, TypeError):
        return [_event(subject, time, each, False) for each in messages(body, count)]


def _singles(entries: Sequence[Any]) -> Sequence[Event | Undecodable]:
    subjects, times, bodies, opaque = zip(*entries, strict=True)
    del entries  # four hundred tuples less for the garbage collector to look at
    try:
        found = unpack_all(bodies) if not any(opaque) else map(_message, bodies, opaque)
        return list(map(Event, subjects, found, times))
    except (ValueError, TypeError):
        return list(map(_event, subjects, times, bodies, opaque))


def _message(body: bytes, opaque: bool) -> Any:
    return body if opaque else unpack(body)


def _event(subject: str, time: float, body: bytes, opaque: bool) -> Event | Undecodable:
    try:
        return Event(subject, body if opaque else unpack(body), time)
    except (ValueError, TypeError) as error:
        return Undecodable(subject, str(error))


def gap_on_attach(
    before: MailboxView | None, answer: dict[str, Any], *, subscribed: bool, dismissed: bool = False
) -> dict[str, Any]:
    """Return what was missed between the last connection and this one, {} if nothing was.

    `before` is the mailbox of the last connection, None for the first one; `subscribed` is whether
    there were subscriptions at all, `dismissed` whether the event service itself ended the last
    connection because the queue was full.
    """
    missed = answer.get("missed")
    if before is None or missed == 0 or not subscribed:
        return {}
    if before.complete and not answer["resumed"] and answer.get("published") == 0:
        return {}
    if answer["incarnation"] != before.incarnation:
        reason = "restarted"
    elif answer["resumed"] or dismissed:
        reason = "full"
    else:
        reason = "expired"
    return {"missed": missed, "reason": reason}
