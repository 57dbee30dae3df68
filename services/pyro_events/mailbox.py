"""The bounded queue of one subscriber, and what happens when it is full. Pure: no clock, no locks.

A mailbox belongs to one thread at a time; whoever shares it brings the lock.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Generic, Literal, TypeVar, get_args

T = TypeVar("T")

WhenFull = Literal["block", "drop-oldest", "drop-newest", "disconnect"]


class Verdict(Enum):
    """What became of an offered item."""

    ACCEPTED = auto()
    DROPPED_OLDEST = auto()
    """Taken; the oldest item went for it."""
    DROPPED_NEWEST = auto()
    """Not taken, and counted as dropped."""
    FULL = auto()
    """Not taken, nothing counted: offer it again when there is `room`, or `force_drop` it."""
    DISCONNECT = auto()
    """Not taken, and counted as dropped: the subscriber has to go."""


class Mailbox(Generic[T]):
    """A queue of at most `limit` items, which takes items until `max_bytes` are reached.

    The last item may overshoot `max_bytes`, so that one of any size gets through.
    Raises ValueError for a limit below 1 or an unknown policy.
    """

    __slots__ = ("_bytes", "_dropped", "_items", "_limit", "_max_bytes", "_policy")

    def __init__(self, limit: int, max_bytes: int, policy: WhenFull) -> None:
        if limit < 1 or max_bytes < 1:
            raise ValueError(f"a mailbox needs room: limit {limit}, max_bytes {max_bytes}")
        if policy not in get_args(WhenFull):
            raise ValueError(f"when_full is one of {', '.join(get_args(WhenFull))}, not {policy!r}")
        self._limit = limit
        self._max_bytes = max_bytes
        self._policy = policy
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def bytes(self) -> int:
        """The size of all waiting items together, as they were offered."""
        return self._bytes

    @property
    def dropped(self) -> int:
        """How many items were lost, for whatever reason, since the mailbox exists."""
        return self._dropped

    def room(self) -> bool:
        """Say whether the next offer will be taken without loss."""
        return len(self._items) < self._limit and self._bytes < self._max_bytes

    def offer(self, item: T, size: int) -> Verdict:
        """Put an item of `size` bytes at the end, or do what the policy says."""
        if self.room():
            self._append(item, size)
            return Verdict.ACCEPTED
        if self._policy == "block":
            return Verdict.FULL
        self._dropped += 1
        if self._policy == "drop-newest":
            return Verdict.DROPPED_NEWEST
        if self._policy == "disconnect":
            return Verdict.DISCONNECT
        self._drop_oldest()
        self._append(item, size)
        return Verdict.DROPPED_OLDEST

    def force_drop(self) -> None:
        """Count an item as dropped that was FULL for too long."""
        self._dropped += 1

    def take(self, max_events: int, max_bytes: int) -> list[T]:
        """Remove and return the oldest items: at least one if there is any, within both limits."""
        taken: list[T] = []
        room = max_bytes
        items = self._items
        while items and len(taken) < max_events and (not taken or items[0][1] <= room):
            item, size = items.popleft()
            taken.append(item)
            room -= size
        self._bytes -= max_bytes - room
        return taken

    def _append(self, item: T, size: int) -> None:
        self._items.append((item, size))
        self._bytes += size

    def _drop_oldest(self) -> None:
        self._bytes -= self._items.popleft()[1]
        while not self.room():
            self._bytes -= self._items.popleft()[1]
            self._dropped += 1
