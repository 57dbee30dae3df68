"""Events on their way to the event service: numbered, bounded, kept until acknowledged. Pure.

Every event has a sequence number for life, so that sending it again never doubles it. An outbox
belongs to one thread at a time; whoever shares it brings the lock.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW = 4
"""Batches that may be on their way at once."""
BATCH_EVENTS = 1000
BATCH_BYTES = 256 * 1024
"""A batch is closed when it has reached one of them, so that only a lone event may exceed it."""
SEND_AT = BATCH_EVENTS // 2
"""So many waiting events are sent even while others are on their way."""
OVERHEAD = 64
"""Bytes that an event is taken to need beside its message, and again for each of its subjects."""


Entry = tuple["Sequence[str]", bytes, bool]
"""One publish as it is on the wire: subjects, message, whether it is opaque."""


def size_of(entry: Entry) -> int:
    """Give what an event counts against the limits."""
    return len(entry[1]) + OVERHEAD * (1 + len(entry[0]))


class Batch(NamedTuple):
    """Consecutive events that travel together; `first` is the number of the first."""

    first: int
    entries: list[Entry]
    size: int

    @property
    def last(self) -> int:
        """The number of the last one."""
        return self.first + len(self.entries) - 1


class Outbox:
    """Holds at most `max_events` events, and takes them until `max_bytes` are reached.

    The last event may overshoot `max_bytes`, so that one of any size gets through.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        if max_events < 1 or max_bytes < 1:
            raise ValueError("max_pending and max_pending_bytes must be at least 1")
        self._max_events = max_events
        self._max_bytes = max_bytes
        # Numbers without a hole up to `last`; None stands for what need not be sent any more.
        self._waiting: deque[Entry | None] = deque()
        self._holes = 0
        self._flight: deque[Batch] = deque()
        self._waiting_bytes = 0
        self.flying = 0
        """How many events are on their way."""
        self._withdrawn: set[int] = set()
        self.last = 0
        """The number of the newest event; 0 when there never was one."""
        self.bytes = 0

    def __len__(self) -> int:
        """Give the number of events that aren't settled yet."""
        return self.flying + self.waiting

    @property
    def waiting(self) -> int:
        """The number of events that weren't sent on the present connection."""
        return len(self._waiting) - self._holes

    def room(self) -> bool:
        """Say whether `add` is allowed."""
        count = self.flying + len(self._waiting) - self._holes
        return count < self._max_events and self.bytes < self._max_bytes

    def due(self) -> bool:
        """Say whether what waits should be sent now rather than together with what comes next.

        A lone event is; while others are on their way, events collect until they are many or
        those have arrived (John Nagle's rule, RFC 896).
        """
        flying, waiting = len(self._flight), len(self._waiting)
        if not flying:
            return waiting > 0
        return flying < WINDOW and (waiting >= SEND_AT or self._waiting_bytes >= BATCH_BYTES)

    def add(self, entry: Entry) -> int:
        """Take an event, and give its number."""
        self._waiting.append(entry)
        size = len(entry[1]) + OVERHEAD * (1 + len(entry[0]))
        self.bytes += size
        self._waiting_bytes += size
        self.last += 1
        return self.last

    def next_batch(self) -> Batch | None:
        """Give what to send now, if there is anything and the window is open."""
        if not self._waiting or len(self._flight) >= WINDOW:
            return None
        batch = self._cut()
        self._flight.append(batch)
        self.flying += len(batch.entries)
        return batch

    def acknowledge(self, number: int) -> int:
        """Settle every batch up to that number; gives how many events that were."""
        settled = 0
        while self._flight and self._flight[0].last <= number:
            settled += self._settle(self._flight.popleft())
        return settled

    def refuse(self, first: int) -> Batch | None:
        """Settle the batch that begins with that number: it will never arrive."""
        for batch in self._flight:
            if batch.first == first:
                self._flight.remove(batch)
                self._settle(batch)
                return batch
        return None

    def rewind(self) -> int:
        """Take back what was sent and not settled, to be sent again; gives how many events."""
        while self._flight:
            batch = self._flight.pop()
            self._waiting_bytes += batch.size
            hole = self._first_waiting() - batch.last - 1
            self._holes += hole
            self._waiting.extendleft([None] * hole)
            self._waiting.extendleft(reversed(batch.entries))
        again, self.flying = self.flying, 0
        for number in self._withdrawn:
            self._remove(number)
            again -= 1
        self._withdrawn.clear()
        return again

    def withdraw(self, number: int) -> None:
        """Don't send that event any more; when it is on its way it may arrive all the same."""
        if any(batch.first <= number <= batch.last for batch in self._flight):
            self._withdrawn.add(number)
        else:
            self._remove(number)

    def settled(self, number: int) -> bool:
        """Say whether nothing up to that number is open any more."""
        if self._flight:
            return number < self._flight[0].first
        return number < self._first_waiting()

    def _first_waiting(self) -> int:
        """Give the number of the first event that waits, or the next number."""
        return self.last - len(self._waiting) + 1

    def _cut(self) -> Batch:
        first, waiting = self._first_waiting(), self._waiting
        size = self._waiting_bytes
        entries: list[Entry] = []
        if not self._holes and len(waiting) <= BATCH_EVENTS and size <= BATCH_BYTES:
            entries = [entry for entry in waiting if entry is not None]
            waiting.clear()
        else:
            size = 0
            while waiting and len(entries) < BATCH_EVENTS and (entry := waiting[0]) is not None:
                more = size_of(entry)
                if entries and size + more > BATCH_BYTES:
                    break
                del waiting[0]
                entries.append(entry)
                size += more
            self._strip()
        self._waiting_bytes -= size
        return Batch(first, entries, size)

    def _remove(self, number: int) -> None:
        index = number - self._first_waiting()
        if 0 <= index < len(self._waiting) and (entry := self._waiting[index]) is not None:
            self._waiting[index] = None
            self._holes += 1
            self.bytes -= size_of(entry)
            self._waiting_bytes -= size_of(entry)
            self._strip()

    def _strip(self) -> None:
        """Have an event at the front, if there is any."""
        while self._waiting and self._waiting[0] is None:
            del self._waiting[0]
            self._holes -= 1

    def _settle(self, batch: Batch) -> int:
        self.bytes -= batch.size
        self.flying -= len(batch.entries)
        if self._withdrawn:
            self._withdrawn.difference_update(range(batch.first, batch.last + 1))
        return len(batch.entries)
