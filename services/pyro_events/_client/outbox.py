"""Events on their way to the event service: numbered, bounded, kept until acknowledged. Pure.

Every event keeps its sequence number, so that sending it again never duplicates it. An outbox
belongs to one thread at a time; threads that share it need a lock.

A signal handler may raise whenever Python looks for signals, which is at calls and at the ends of
loops (CPython's ceval.c). So attributes that belong together are changed by statements without
either, at the end; the entries and `_settled` are the truth, from which `rewind` computes the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyro_events.types import PublisherStatistics

WINDOW = 4
"""Batches that may be in flight at once."""
BATCH_EVENTS = 1000
BATCH_BYTES = 256 * 1024
"""A batch ends when it has reached one of these, so that only a lone event may exceed it."""
SEND_AT = BATCH_EVENTS // 2
"""Waiting events that are enough to be sent even while others are in flight."""
SMALL = 256
"""Bytes of a message that may be added on credit."""
ALONE = 1000
"""Bytes of an event that may be sent without the steps that a batch takes."""
OVERHEAD = 64
"""Bytes that an event is assumed to need beside its message, and again for each subject."""


Entry = tuple["Sequence[str]", bytes, bool]
"""One publish as it is on the wire: subjects, message, whether it is opaque."""


def size_of(entry: Entry) -> int:
    """Return the bytes that an event counts."""
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
    """Holds at most `max_events` events, and accepts them until `max_bytes` are reached.

    The last event may exceed `max_bytes`, so that one of any size gets through.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        if max_events < 1 or max_bytes < 1:
            raise ValueError("max_pending and max_pending_bytes must be at least 1")
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._settled = 0
        """The number up to which all events are settled."""
        # The events after it, without a gap; None is one that need not be sent any more, a hole.
        self._entries: list[Entry | None] = []
        self._holes = 0
        self._in_flight: list[Batch] = []
        self._sent = 0
        """The number up to which all events were sent on the current connection."""
        self._sent_bytes = 0
        self.bytes = 0
        self.credit = 0
        """How many small events may be added, by `spend`, without a look at anything else."""
        self.acknowledged = 0
        """How many events were acknowledged so far."""

    def __len__(self) -> int:
        """Return the number of events that aren't settled yet."""
        return len(self._entries) - self._holes

    @property
    def last(self) -> int:
        """The number of the newest event; 0 if there never was one."""
        return self._settled + len(self._entries)

    @property
    def empty(self) -> bool:
        """Whether all events are settled."""
        return not self._entries

    @property
    def in_flight(self) -> bool:
        """Whether events are in flight."""
        return bool(self._in_flight)

    def statistics(self, counts: Mapping[str, int]) -> PublisherStatistics:
        """Return a publisher's statistics: what its sender has counted, and what follows here.

        These are `published`, `failed`, `retries` and `reconnects`.
        """
        published, failed, pending = counts["published"], counts["failed"], len(self)
        return {
            "published": published,
            "posted": self.last - published,
            "acked": self.acknowledged,
            "failed": failed,
            "withdrawn": self.last - self.acknowledged - failed - pending,
            "retries": counts["retries"],
            "reconnects": counts["reconnects"],
            "pending": pending,
            "pending_bytes": self.bytes,
        }

    def has_room(self) -> bool:
        """Return whether `add` is allowed."""
        return len(self._entries) - self._holes < self._max_events and self.bytes < self._max_bytes

    def due(self) -> bool:
        """Return whether the waiting events should be sent now rather than with the next ones.

        A lone event should; while others are in flight, events collect until they are many or
        those are acknowledged (Nagle's algorithm, RFC 896).
        """
        in_flight, waiting = len(self._in_flight), self._settled + len(self._entries) - self._sent
        if not in_flight:
            return waiting > 0
        return in_flight < WINDOW and (
            waiting >= SEND_AT or self.bytes - self._sent_bytes >= BATCH_BYTES
        )

    def grant(self) -> None:
        """Set how many small events may be added before `has_room` or `due` can change.

        Anything else that happens to the outbox ends the credit.
        """
        credit = 0
        if self._in_flight:
            waiting = self._settled + len(self._entries) - self._sent
            room = self._max_events - len(self)
            space = self._max_bytes - self.bytes
            if len(self._in_flight) < WINDOW:
                room = min(room, SEND_AT - 1 - waiting)
                space = min(space, BATCH_BYTES - (self.bytes - self._sent_bytes))
            credit = min(room, space // (SMALL + 2 * OVERHEAD))
        self.credit = credit

    def spend(self, entry: Entry) -> None:
        """Add a small event about one subject on credit."""
        size = len(entry[1]) + 2 * OVERHEAD
        self.credit -= 1
        self.bytes += size
        self._entries.append(entry)

    def add(self, entry: Entry) -> int:
        """Add an event, and return its number."""
        size = len(entry[1]) + OVERHEAD * (1 + len(entry[0]))
        number = self._settled + len(self._entries) + 1
        self.bytes += size
        self._entries.append(entry)
        return number

    def next_batch(self) -> Batch | None:
        """Return what to send now, if there is anything and the window is open."""
        self.credit = 0
        if len(self._in_flight) >= WINDOW or self._sent == self._settled + len(self._entries):
            return None
        batch = self._next_events()
        if batch is None:
            return None
        last, size = batch.last, batch.size
        self._sent = last
        self._sent_bytes += size
        self._in_flight += [batch]
        return batch

    def next_alone(self, number: int) -> Entry | None:
        """Return the event with that number, to send it now, if there is no other one.

        It is in flight then, as a batch. None if it is not so, or not small: ask `next_batch`.
        """
        entries, size = self._entries, self.bytes
        if len(entries) != 1 or self._in_flight or size > ALONE or self._settled != number - 1:
            return None
        entry = entries[0]
        if entry is None or self._sent != self._settled:
            return None
        batch = Batch(number, [entry], size)
        self.credit = 0
        self._sent = number
        self._sent_bytes = size
        self._in_flight += [batch]
        return entry

    def acknowledge(self, number: int) -> None:
        """Settle every batch up to that number."""
        self.credit = 0
        while self._in_flight:
            batch = self._in_flight[0]
            count = len(batch.entries)
            last = batch.first + count - 1
            if last > number:
                break
            settled = last - self._settled
            holes = self._entries[:settled].count(None) if self._holes else 0
            del self._in_flight[0], self._entries[:settled]
            self._settled = last
            self._holes -= holes
            self.bytes -= batch.size
            self._sent_bytes -= batch.size
            self.acknowledged += count
        if self._holes:
            self._strip()

    def reject(self, first: int) -> Batch | None:
        """Settle the batch that starts with that number, which was refused, and return it."""
        self.credit = 0
        for index, batch in enumerate(self._in_flight):
            if batch.first == first:
                start = batch.first - self._settled - 1
                gone = [None] * len(batch.entries)
                end = start + len(gone)
                holes = len(gone) - self._entries[start:end].count(None)
                self._entries[start:end] = gone
                del self._in_flight[index]
                self._holes += holes
                self.bytes -= batch.size
                self._sent_bytes -= batch.size
                self._strip()
                return batch
        return None

    def rewind(self) -> int:
        """Mark all unsettled events as unsent; return how many of them had been sent.

        Recomputes everything, so it also repairs what an interruption has left behind.
        """
        self.credit = 0
        sent = self._entries[: max(0, self._sent - self._settled)]
        again = len(sent) - sent.count(None)
        holes = self._entries.count(None)
        size = sum(size_of(entry) for entry in self._entries if entry is not None)
        self._in_flight = []
        self._sent, self._sent_bytes = self._settled, 0
        self._holes, self.bytes = holes, size
        self._strip()
        return again

    def withdraw(self, number: int) -> None:
        """Don't send that event any more; if it is in flight, it may still arrive."""
        self.credit = 0
        index = number - self._settled - 1
        if index < 0 or (entry := self._entries[index]) is None:
            return
        size, flight, sent_bytes = size_of(entry), self._in_flight, self._sent_bytes
        if number <= self._sent:
            flight = [
                batch._replace(size=batch.size - size)
                if batch.first <= number <= batch.last
                else batch
                for batch in flight
            ]
            sent_bytes -= size
        self._entries[index] = None
        self._holes += 1
        self._in_flight, self._sent_bytes = flight, sent_bytes
        self.bytes -= size
        self._strip()

    def settled(self, number: int) -> bool:
        """Return whether all events up to that number are settled."""
        return number <= self._settled

    def _next_events(self) -> Batch | None:
        """Return the next batch: consecutive events, none of which is a hole."""
        self._strip()
        entries, index = self._entries, self._sent - self._settled
        size = self.bytes - self._sent_bytes
        if not self._holes and len(entries) - index <= BATCH_EVENTS and size <= BATCH_BYTES:
            taken: list[Any] = entries[index:]
            return Batch(self._sent + 1, taken, size) if taken else None
        while index < len(entries) and entries[index] is None:
            index += 1
        first, size, taken = self._settled + index + 1, 0, []
        for entry in entries[index : index + BATCH_EVENTS]:
            if entry is None:
                break
            more = size_of(entry)
            if taken and size + more > BATCH_BYTES:
                break
            taken.append(entry)
            size += more
        return Batch(first, taken, size) if taken else None

    def _strip(self) -> None:
        """Settle the holes that have no unsettled event before them."""
        if not self._holes:
            return
        end = (
            self._in_flight[0].first - self._settled - 1 if self._in_flight else len(self._entries)
        )
        count = 0
        while count < end and self._entries[count] is None:
            count += 1
        settled = self._settled + count
        sent = max(self._sent, settled)
        del self._entries[:count]
        self._holes -= count
        self._settled, self._sent = settled, sent
