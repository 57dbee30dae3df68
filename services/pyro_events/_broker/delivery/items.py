"""Events under way, single ones and runs: how many they are, and how much room they take. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from pyro_events._protocol import runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._protocol.event import Item, Queued

ITEM_OVERHEAD: Final = 64
"""Bytes that an event costs beside its subject and its message, roughly."""


def item_size(item: Queued) -> int:
    """Return the bytes that it counts for in a mailbox, the same for a run as for its events."""
    return len(item[2]) + (len(item[0]) + ITEM_OVERHEAD) * runs.count_of(item)


def singles(items: Sequence[Queued]) -> list[Item]:
    """Return the events one by one."""
    found: list[Item] = []
    for item in items:
        if len(item) > runs.SINGLE:
            subject, time, body, opaque, count = item
            found += [(subject, time, each, opaque) for each in runs.messages(body, count)]
        else:
            found.append(item)
    return found


def pieces(
    subject: str, time: float, body: bytes, count: int, max_events: int, max_bytes: int
) -> list[Queued]:
    """Return a run as items that fit frames, so that none has to be cut later.

    Raises ValueError if the body is not exactly `count` messages.
    """
    ends = runs.ends(body, count)
    cuts, begin = [0], 0
    if len(body) <= max_bytes:
        cuts += range(max_events, count, max_events)
    else:
        for number, end in enumerate(ends):
            if number > cuts[-1] and (number - cuts[-1] >= max_events or end - begin > max_bytes):
                cuts.append(number)
                begin = ends[number - 1]
    found: list[Queued] = []
    for first, last in pairwise((*cuts, count)):
        part = body[ends[first - 1] if first else 0 : ends[last - 1]]
        if last - first > 1:
            found.append((subject, time, part, False, last - first))
        else:
            found.append((subject, time, part, False))
    return found


class Load(NamedTuple):
    """Events that are offered to a mailbox together, with the size of each item."""

    items: Sequence[Queued]
    sizes: Sequence[int]
    events: int

    @classmethod
    def of(cls, items: Sequence[Queued]) -> Load:
        """Return these events, which are all about one subject."""
        events = runs.events_in(items)
        if events > len(items):
            return cls(items, list(map(item_size, items)), events)
        overhead = len(items[0][0]) + ITEM_OVERHEAD
        return cls(items, [len(item[2]) + overhead for item in items], events)

    def after(self, count: int) -> Load:
        """Return what follows the first `count` events."""
        items, sizes, events = self
        if events == len(items):
            return Load(items[count:], sizes[count:], events - count)
        at, left = 0, count
        while at < len(items) and left >= runs.count_of(items[at]):
            left -= runs.count_of(items[at])
            at += 1
        if not left:
            return Load(items[at:], sizes[at:], events - count)
        parts = singles(items[at : at + 1])[left:]
        return Load(
            [*parts, *items[at + 1 :]],
            [*map(item_size, parts), *sizes[at + 1 :]],
            events - count,
        )

    def repeated(self, copies: int) -> Load:
        """Return every event as often as a subscriber gets it."""
        if copies == 1:
            return self
        items = [item for item in singles(self.items) for _ in range(copies)]
        return Load.of(items)
