"""What the event service pushes over a stream, and what that means. Pure."""

from __future__ import annotations

from typing import Any

import msgpack

_EVENTS = b"\x92\xcf"
"""An array of two, the first an unsigned number of 64 bits: the delivery number of an event."""
_ACCOUNTED = 10


class MailboxView:
    """The event service's mailbox for one subscriber, as seen from here.

    A new one begins whenever the event service doesn't know the old one any more.
    """

    __slots__ = ("complete", "incarnation", "last")

    def __init__(self, incarnation: str, last: int) -> None:
        self.incarnation = incarnation
        self.last = last
        """The delivery number of the last event that came."""
        self.complete = False
        """Whether that is the last one there was, as the event service said when it ended."""

    def go_on(self, incarnation: str, last: int) -> None:
        """Go on with the event after the number `last`, in that incarnation."""
        self.incarnation, self.last = incarnation, last

    def compare(self, first: int, count: int) -> tuple[int, int]:
        """Give how many of these events came before, and how many are missing before them."""
        return min(count, max(0, self.last + 1 - first)), max(0, first - self.last - 1)


def parse_push(data: bytes) -> tuple[int, int] | dict[str, Any]:
    """Give the first delivery number and the count of pushed events, or a notice.

    Raises ValueError for anything else.
    """
    if data.startswith(_EVENTS):
        return int.from_bytes(data[2:_ACCOUNTED], "big"), _array_size(data)
    push = msgpack.unpackb(data)
    if isinstance(push, list) and len(push) == 2 and isinstance(push[1], dict):  # noqa: PLR2004 - nil and the notice
        return push[1]
    raise ValueError("neither events nor a notice")


def _array_size(data: bytes) -> int:
    """Read the size of the array of events (msgpack's fixarray, array 16 and array 32)."""
    kind = data[_ACCOUNTED] if len(data) > _ACCOUNTED else 0
    if kind & 0xF0 == 0x90:  # noqa: PLR2004 - the bits are msgpack's
        return kind & 0x0F
    if kind in (0xDC, 0xDD):
        width = 2 if kind == 0xDC else 4  # noqa: PLR2004 - the same
        return int.from_bytes(data[_ACCOUNTED + 1 : _ACCOUNTED + 1 + width], "big")
    raise ValueError("events are missing in a push")


def gap_on_attach(
    before: MailboxView | None, answer: dict[str, Any], *, wanted: bool, dismissed: bool = False
) -> dict[str, Any]:
    """Say what was missed between the last life and this one, {} if nothing was.

    `before` is the mailbox of the last life, None in the first one; `wanted` tells whether there
    were subscriptions at all, `dismissed` that the event service itself ended the last life
    because the queue was full.
    """
    missed = answer.get("missed")
    if before is None or missed == 0 or not wanted:
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
