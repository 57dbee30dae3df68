"""The bounded queue of one subscriber, and what happens when it is full. Pure: no clock, no locks.

A mailbox belongs to one thread at a time; code that shares it needs a lock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from pyro_events._broker.delivery.items import item_size, singles
from pyro_events._broker.snapshot.fields import Fields, Snapshotted
from pyro_events._protocol.runs import count_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyro_events.types import WhenFull

T = TypeVar("T")
_UNBOUNDED: Final = 1 << 62


def _one_group(_item: object) -> float:
    return 0.0


@dataclass(slots=True, eq=False)
class SharedRoom:
    """The bytes that all mailboxes together may hold.

    A mailbox is full, too, when it holds as much as is left here: so the fullest ones give way
    first, and one that holds little always finds room (the dynamic thresholds of network switches;
    Choudhury and Hahne 1998).
    """

    limit: int
    used: int = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return self.limit - self.used


class Mailbox(Snapshotted, Generic[T]):
    """A queue of at most `limit` items and `max_bytes`, with those on their way to the receiver.

    A run counts as the single items of which it is made, whose number has to be given whenever some
    may be among the items; it is cut into these only where a limit is in the middle of it.

    What was taken out is on its way until it is settled; at most half of the room is for that. The
    last item may overshoot `max_bytes`, so that one of any size gets through, and a mailbox in
    which nothing waits always has room for one item, whatever is on its way.
    Raises ValueError for limits below 1.
    """

    __slots__ = (
        "_count", "_items", "_limit", "_max_bytes", "_shared", "_sizes", "_start", "_unbounded",
        "away", "away_bytes", "bytes", "dropped",
    )  # fmt: skip

    SNAPSHOT: ClassVar = Fields(
        "_count", "_items", "_sizes", "_start", "away", "away_bytes", "bytes", "dropped"
    )
    TRANSIENT: ClassVar = (
        "_limit", "_max_bytes",  # as the options say
        "_shared",  # every mailbox enters what it holds
        "_unbounded",
    )  # fmt: skip

    def __init__(self, limit: int, max_bytes: int, shared: SharedRoom | None = None) -> None:
        if limit < 1 or max_bytes < 1:
            raise ValueError(f"a mailbox needs room: limit {limit}, max_bytes {max_bytes}")
        self._limit = limit
        self._max_bytes = max_bytes
        self._shared = shared or SharedRoom(_UNBOUNDED)
        self._unbounded = False
        # Two lists side by side: many at once go in and come out as a copy of pointers. What
        # waits begins at `_start`; before it there is nothing.
        self._items: list[T] = []
        self._sizes: list[int] = []
        self._start = 0
        self._count = 0
        self.bytes = 0
        """The size of all waiting items together, as they were offered."""
        self.away = 0
        """How many items are on their way: taken, and not settled."""
        self.away_bytes = 0
        self.dropped = 0
        """How many items were lost, for whatever reason, since the mailbox exists."""

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return iter(self._items[self._start :])

    def sizes(self) -> list[int]:
        """Return the sizes of what waits, in order."""
        return self._sizes[self._start :]

    def snapshot(self, writer: Any) -> dict[str, Any]:
        """Return what waits, what is on its way, and how much was lost."""
        sizes = array("Q", self.sizes()).tobytes()
        away = self.away, self.away_bytes
        return {
            "items": writer.share(list(self)), "sizes": sizes, "count": self._count,
            "away": away, "dropped": self.dropped,
        }  # fmt: skip

    def restore(self, values: dict[str, Any], reader: Any) -> None:
        """Continue with what waited, even if it is more than there is room for."""
        sizes = array("Q", values["sizes"]).tolist()
        self.load(reader.shared(values["items"]), sizes, values["count"])
        self.carry(*values["away"])
        self.dropped = values["dropped"]

    # What comes in

    def offer(
        self, items: Sequence[T], sizes: Sequence[int], count: int | None = None, *,
        whole: bool = False,
    ) -> int:  # fmt: skip
        """Put in as many of the items as there is room for; return how many. Drops nothing.

        With `whole`, a run for which there is not enough room is cut only when nothing waits.
        """
        count, size = len(items) if count is None else count, sum(sizes)
        if not self.fits(count, size):
            if count > len(items):
                return self._offer_runs(items, sizes, whole=whole)
            count = self._fitting(sizes)
            items, sizes = items[:count], sizes[:count]
            size = sum(sizes)
        self._append(items, sizes, size, count)
        return count

    def put(self, item: T, size: int) -> None:
        """Put in one item, which fits."""
        self._items.append(item)
        self._sizes.append(size)
        self._count += 1
        self.bytes += size
        self._shared.used += size

    def fits(self, count: int, size: int) -> bool:
        """Return whether there is room for all of that, without doubt."""
        held = self.bytes + self.away_bytes + size
        return (
            count <= self._limit - self.away - self._count
            and held < self._max_bytes
            and held + size < self._shared.limit - self._shared.used
        )

    def _offer_runs(self, items: Sequence[Any], sizes: Sequence[int], *, whole: bool) -> int:
        taken = 0
        for item, size in zip(items, sizes, strict=True):
            count = count_of(item)
            if self._unbounded or self.fits(count, size):
                self._append([item], [size], size, count)
                taken += count
                continue
            if whole and self._count:
                break
            parts: Sequence[Any] = singles([item])
            taken += (more := self.offer(parts, list(map(item_size, parts))))
            if more < count:
                break
        return taken

    def overflow(
        self,
        items: Sequence[T],
        sizes: Sequence[int],
        policy: WhenFull,
        count: int | None = None,
    ) -> None:
        """Take items for which there is no room in place of the oldest, or drop them."""
        count = len(items) if count is None else count
        if policy != "drop-oldest":
            self.dropped += count
            return
        self._cut_runs()
        if count > len(items):
            items = _cut_up(items)
            sizes = list(map(item_size, items))
        others = self._shared.used - self.bytes - self.away_bytes
        # Each item that is dropped here leaves more of the shared room, too.
        room = min(self._max_bytes, (self._shared.limit - others + 1) // 2)
        self._append(items, sizes, sum(sizes), count)
        count = max(0, len(self) - max(1, self._limit - self.away))
        freed = sum(self._sizes[self._start : self._start + count])
        excess = self.bytes + self.away_bytes - sizes[-1] - room
        while count < len(self) - 1 and freed <= excess:
            freed += self._sizes[self._start + count]
            count += 1
        self._release(count, freed, count)
        self._shared.used -= freed
        self.dropped += count

    def load(self, items: Sequence[T], sizes: Sequence[int], count: int | None = None) -> None:
        """Put in all of the items, even if that is more than there is room for."""
        self._append(items, sizes, sum(sizes), len(items) if count is None else count)

    def carry(self, count: int, size: int) -> None:
        """Count items as on their way that were never in this mailbox."""
        self.away += count
        self.away_bytes += size
        self._shared.used += size

    def set_unbounded(self, unbounded: bool) -> None:
        """Set whether everything is taken, however much it is."""
        self._unbounded = unbounded

    # What goes out

    def take(
        self, max_events: int, max_bytes: int, group: Callable[[T], float] = _one_group
    ) -> list[T]:
        """Return the oldest items, which are on their way now.

        At least one if there is any and the room for what is on its way isn't used up, within both
        limits, and at most half of that room: so that there are several batches in it. A batch ends
        where a group ends if it can, so that what many mailboxes have is cut into the same batches:
        `group` returns a number of an item's group, which grows.
        """
        away, flight = self.away, max(1, self._limit // 2)
        count = self._count
        if away and (away >= flight or 2 * self.away_bytes >= self._max_bytes):
            return []
        max_events = min(max_events, (flight - away + 1) // 2)
        if count <= max_events and self.bytes <= max_bytes:
            taken = self._items[self._start :] if self._start else self._items
            self.away += count
            self.away_bytes += self.bytes
            self._items, self._sizes = [], []
            self._start = self.bytes = self._count = 0
            return taken
        if count > len(self._items) - self._start:
            return self._take_runs(max_events, max_bytes)
        count = min(count, max_events)
        sizes = self._sizes[self._start : self._start + count]
        if sum(sizes) > max_bytes:
            count = max(1, bisect_left(list(accumulate(sizes)), max_bytes + 1))
        count = _cut(self._items, self._start, count, group)
        taken = self._items[self._start : self._start + count]
        size = sum(sizes[:count])
        self._release(count, size, count)
        self.away += count
        self.away_bytes += size
        return taken

    def _take_runs(self, max_events: int, max_bytes: int) -> list[T]:
        """Return the oldest items, some of which are runs; the first is cut if it is too long."""
        items: list[Any] = self._items
        if count_of(items[self._start]) > max_events:
            self._cut_runs(1)
        count = size = 0
        end = self._start
        while end < len(items):
            more, bigger = count + count_of(items[end]), size + self._sizes[end]
            if count and (more > max_events or bigger > max_bytes):
                break
            count, size = more, bigger
            end += 1
        taken = self._items[self._start : end]
        self._release(len(taken), size, count)
        self.away += count
        self.away_bytes += size
        return taken

    def _cut_runs(self, first: int | None = None) -> None:
        """Replace the runs that wait, or only those among the `first` items, by single items."""
        if self._count > len(self._items) - self._start:
            end = len(self._items) if first is None else self._start + first
            parts = _cut_up(self._items[self._start : end])
            self._items[self._start : end] = parts
            self._sizes[self._start : end] = map(item_size, parts)

    def settle(self, count: int, size: int) -> None:
        """Forget items that were on their way: the receiver has them, or never will."""
        self.away -= count
        self.away_bytes -= size
        self._shared.used -= size

    def is_roomy(self) -> bool:
        """Return whether less than half of the room is used."""
        held = self.bytes + self.away_bytes
        return 2 * (len(self) + self.away) < self._limit and 2 * held < self._max_bytes

    def bound(self) -> str:
        """Return which bound a full mailbox has reached, by the name of its option."""
        if len(self) + self.away >= self._limit:
            return f"queue_size of {self._limit} events"
        if self.bytes + self.away_bytes >= self._max_bytes:
            return f"queue_bytes of {self._max_bytes} bytes"
        return f"max_queued_bytes of {self._shared.limit} bytes for all queues"

    def resize(self, limit: int, policy: WhenFull) -> None:
        """Set a new limit; what waits and has no room any more is dropped."""
        self._limit = limit
        self._cut_runs()
        items, sizes, size = list(self), self.sizes(), self.bytes
        self._release(len(items), size, len(items))
        self._shared.used -= size
        taken = self.offer(items, sizes)
        if taken < len(items):
            self.overflow(items[taken:], sizes[taken:], policy)

    def clear(self) -> None:
        """Forget everything but how much was lost."""
        self._shared.used -= self.bytes + self.away_bytes
        self._items, self._sizes = [], []
        self._start = self._count = self.bytes = self.away = self.away_bytes = 0

    def _fitting(self, sizes: Sequence[int]) -> int:
        """Return how many of these are taken until there is no more room."""
        if self._unbounded:
            return len(sizes)
        held = self.bytes + self.away_bytes
        # Each one that is taken leaves less of the shared room, too.
        room = min(self._max_bytes - held, (self._shared.left - held + 1) // 2)
        count = bisect_left(list(accumulate(sizes)), room) + 1 if room > 0 else 0
        count = min(count, len(sizes), max(0, self._limit - self.away - len(self)))
        return count or min(len(sizes), 0 if len(self) else 1)

    def _append(self, items: Sequence[T], sizes: Sequence[int], size: int, count: int) -> None:
        self._count += count
        self._items += items
        self._sizes += sizes
        self.bytes += size
        self._shared.used += size

    def _release(self, number: int, size: int, count: int) -> None:
        """Remove the oldest; the lists get shorter only when more than half of them is empty."""
        self._count -= count
        self.bytes -= size
        end = self._start + number
        if 2 * end >= len(self._items):
            del self._items[:end]
            del self._sizes[:end]
            self._start = 0
        else:
            self._items[self._start : end] = repeat(None, number)  # type: ignore[arg-type] # nothing
            self._start = end


def _cut_up(items: Sequence[Any]) -> list[Any]:
    found: list[Any] = list(singles(items))
    return found


def _cut(items: Sequence[T], start: int, most: int, group: Callable[[T], float]) -> int:
    """Return how many items from `start` on to take: to the end of a group, or half of the way.

    `most` if all ends are too near or too far for that.
    """
    for parts in (1, 2):
        far = min(start + parts * most, len(items) - 1)
        end = bisect_left(items, group(items[far]), start, far, key=group)
        count = (end - start + parts - 1) // parts
        if 2 * count >= most:
            return count
    return most
