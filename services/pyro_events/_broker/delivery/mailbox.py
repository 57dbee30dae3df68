"""The bounded queue of one subscriber, and what happens when it is full. Pure: no clock, no locks.

A mailbox belongs to one thread at a time; code that shares it needs a lock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from enum import Enum, auto
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args

from pyro_events._broker.snapshot.fields import Fields, Snapshotted
from pyro_events.types import WhenFull

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


class Verdict(Enum):
    """What became of an offered item."""

    ACCEPTED = auto()
    DROPPED_OLDEST = auto()
    """Taken; the oldest item was dropped for it."""
    DROPPED_NEWEST = auto()
    """Not taken, and counted as dropped."""
    FULL = auto()
    """Not taken, nothing counted: offer it again when there is `room`, or `force_drop` it."""
    DISCONNECT = auto()
    """Not taken, and counted as dropped: the subscriber has to go."""


class Mailbox(Snapshotted, Generic[T]):
    """A queue of at most `limit` items, which takes items until `max_bytes` are reached.

    The last item may overshoot `max_bytes`, so that one of any size gets through.
    Raises ValueError for a limit below 1 or an unknown policy.
    """

    __slots__ = (
        "_items", "_limit", "_max_bytes", "_policy", "_sizes", "_start", "bytes", "dropped"
    )  # fmt: skip

    SNAPSHOT: ClassVar = Fields("_items", "_sizes", "_start", "bytes", "dropped")
    TRANSIENT: ClassVar = ("_limit", "_max_bytes", "_policy")  # as the options say

    def __init__(self, limit: int, max_bytes: int, policy: WhenFull) -> None:
        if limit < 1 or max_bytes < 1:
            raise ValueError(f"a mailbox needs room: limit {limit}, max_bytes {max_bytes}")
        if policy not in get_args(WhenFull):
            raise ValueError(f"when_full is one of {', '.join(get_args(WhenFull))}, not {policy!r}")
        self._limit = limit
        self._max_bytes = max_bytes
        self._policy = policy
        # Two lists side by side: many at once go in and come out as a copy of pointers. What
        # waits begins at `_start`; before it there is nothing.
        self._items: list[T] = []
        self._sizes: list[int] = []
        self._start = 0
        self.bytes = 0
        """The size of all waiting items together, as they were offered."""
        self.dropped = 0
        """How many items were lost, for whatever reason, since the mailbox exists."""

    def __len__(self) -> int:
        return len(self._items) - self._start

    def __iter__(self) -> Iterator[T]:
        return iter(self._items[self._start :])

    def sizes(self) -> list[int]:
        """Return the sizes of what waits, in order."""
        return self._sizes[self._start :]

    def snapshot(self, writer: Any) -> dict[str, Any]:
        """Return what waits, and how much was lost."""
        sizes = array("Q", self.sizes()).tobytes()
        return {"items": writer.share(list(self)), "sizes": sizes, "dropped": self.dropped}

    def restore(self, values: dict[str, Any], reader: Any) -> None:
        """Continue with what waited, even if it is more than there is room for."""
        self._items = reader.shared(values["items"])
        self._sizes = array("Q", values["sizes"]).tolist()
        self._start, self.bytes = 0, sum(self._sizes)
        self.dropped = values["dropped"]

    def room(self) -> bool:
        """Return whether the next offer will be taken without loss."""
        return len(self) < self._limit and self.bytes < self._max_bytes

    def offer(self, item: T, size: int) -> Verdict:
        """Put an item of `size` bytes at the end, or apply the policy."""
        if self.room():
            self._append(item, size)
            return Verdict.ACCEPTED
        if self._policy == "block":
            return Verdict.FULL
        self.dropped += 1
        if self._policy == "drop-newest":
            return Verdict.DROPPED_NEWEST
        if self._policy == "disconnect":
            return Verdict.DISCONNECT
        self._drop_oldest()
        self._append(item, size)
        return Verdict.DROPPED_OLDEST

    def offer_many(self, items: Sequence[T], sizes: Sequence[int]) -> int:
        """Put in as many of the items as there is room for; return how many. Drops nothing."""
        count, room = len(items), self._limit + self._start - len(self._items)
        if count > room:
            count = max(0, room)
            sizes = sizes[:count]
        size = sum(sizes)
        if self.bytes + size >= self._max_bytes:
            count, size = self._fitting(sizes)
            sizes = sizes[:count]
        self._items += items if count == len(items) else items[:count]
        self._sizes += sizes
        self.bytes += size
        return count

    def resize(self, limit: int, max_bytes: int) -> None:
        """Set new limits; what waits already may be more than that."""
        self._limit = limit
        self._max_bytes = max_bytes

    def force_drop(self, count: int = 1) -> None:
        """Count items as dropped that were FULL for too long."""
        self.dropped += count

    def take(self, max_events: int, max_bytes: int) -> list[T]:
        """Remove and return the oldest items: at least one if there is any, within both limits."""
        count = len(self._items) - self._start
        if count <= max_events and self.bytes <= max_bytes:
            return self._take_all()
        count = min(count, max_events)
        sizes = self._sizes[self._start : self._start + count]
        if self.bytes > max_bytes and sizes:
            count = max(1, bisect_left(list(accumulate(sizes)), max_bytes + 1))
            sizes = sizes[:count]
        taken = self._items[self._start : self._start + count]
        self.bytes -= sum(sizes)
        self._forget(count)
        return taken

    def _take_all(self) -> list[T]:
        taken = self._items[self._start :] if self._start else self._items
        self._items, self._sizes = [], []
        self._start = self.bytes = 0
        return taken

    def _fitting(self, sizes: Sequence[int]) -> tuple[int, int]:
        """Return how many of these are taken until the bytes are reached, and their size."""
        total = list(accumulate(sizes))
        room = self._max_bytes - self.bytes
        count = min(len(total), bisect_left(total, room) + 1) if room > 0 else 0
        return count, total[count - 1] if count else 0

    def _append(self, item: T, size: int) -> None:
        self._items.append(item)
        self._sizes.append(size)
        self.bytes += size

    def _drop_oldest(self) -> None:
        self._discard()
        while not self.room():
            self._discard()
            self.dropped += 1

    def _discard(self) -> None:
        self.bytes -= self._sizes[self._start]
        self._forget(1)

    def _forget(self, count: int) -> None:
        """Remove the oldest; the lists get shorter only when more than half of them is empty."""
        end = self._start + count
        if 2 * end >= len(self._items):
            del self._items[:end]
            del self._sizes[:end]
            self._start = 0
        else:
            self._items[self._start : end] = repeat(None, count)  # type: ignore[arg-type] # nothing
            self._start = end
