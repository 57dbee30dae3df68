"""Events on their way to the event service: numbered, bounded, kept until acknowledged. Pure.

Every event has a sequence number for life, so that sending it again never doubles it. An outbox
belongs to one thread at a time; whoever shares it brings the lock.

A signal handler may raise whenever Python looks for signals, which is at calls and at the ends of
loops (CPython's ceval.c). So what belongs together is changed by statements without any, at the
end; the entries and `_settled` are the truth, from which `rewind` makes everything else again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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
        self._settled = 0
        """The number up to which nothing is open."""
        # What comes after it, without a gap; None stands for what need not be sent any more.
        self._entries: list[Entry | None] = []
        self._holes = 0
        self._flight: list[Batch] = []
        self._sent = 0
        """The number up to which everything was sent on the present connection."""
        self._sent_bytes = 0
        self.bytes = 0
        self.acknowledged = 0
        """How many events have arrived so far."""

    def __len__(self) -> int:
        """Give the number of events that aren't settled yet."""
        return len(self._entries) - self._holes

    @property
    def last(self) -> int:
        """The number of the newest event; 0 when there never was one."""
        return self._settled + len(self._entries)

    @property
    def flying(self) -> bool:
        """Whether events are on their way."""
        return bool(self._flight)

    @property
    def waiting(self) -> int:
        """The number of events that weren't sent on the present connection."""
        unsent = self._entries[self._sent - self._settled :]
        return len(unsent) - unsent.count(None)

    def room(self) -> bool:
        """Say whether `add` is allowed."""
        return len(self._entries) - self._holes < self._max_events and self.bytes < self._max_bytes

    def due(self) -> bool:
        """Say whether what waits should be sent now rather than together with what comes next.

        A lone event is; while others are on their way, events collect until they are many or
        those have arrived (John Nagle's rule, RFC 896).
        """
        flying, waiting = len(self._flight), self._settled + len(self._entries) - self._sent
        if not flying:
            return waiting > 0
        return flying < WINDOW and (
            waiting >= SEND_AT or self.bytes - self._sent_bytes >= BATCH_BYTES
        )

    def add(self, entry: Entry) -> int:
        """Take an event, and give its number."""
        size = len(entry[1]) + OVERHEAD * (1 + len(entry[0]))
        number = self._settled + len(self._entries) + 1
        self.bytes += size
        self._entries.append(entry)
        return number

    def next_batch(self) -> Batch | None:
        """Give what to send now, if there is anything and the window is open."""
        if len(self._flight) >= WINDOW:
            return None
        batch = self._cut()
        if batch is None:
            return None
        last, size = batch.last, batch.size
        self._sent = last
        self._sent_bytes += size
        self._flight += [batch]
        return batch

    def acknowledge(self, number: int) -> None:
        """Settle every batch up to that number."""
        while self._flight and self._flight[0].last <= number:
            batch = self._flight[0]
            count, last = len(batch.entries), batch.last
            settled = last - self._settled
            holes = self._entries[:settled].count(None) if self._holes else 0
            del self._flight[0], self._entries[:settled]
            self._settled = last
            self._holes -= holes
            self.bytes -= batch.size
            self._sent_bytes -= batch.size
            self.acknowledged += count
        self._strip()

    def refuse(self, first: int) -> Batch | None:
        """Settle the batch that begins with that number: it will never arrive."""
        for index, batch in enumerate(self._flight):
            if batch.first == first:
                start = batch.first - self._settled - 1
                gone = [None] * len(batch.entries)
                end = start + len(gone)
                holes = len(gone) - self._entries[start:end].count(None)
                self._entries[start:end] = gone
                del self._flight[index]
                self._holes += holes
                self.bytes -= batch.size
                self._sent_bytes -= batch.size
                self._strip()
                return batch
        return None

    def rewind(self) -> int:
        """Take back what was sent and not settled, to be sent again; gives how many events.

        Counts everything anew, so it also mends what an interruption has left behind.
        """
        flown = self._entries[: max(0, self._sent - self._settled)]
        again = len(flown) - flown.count(None)
        holes = self._entries.count(None)
        size = sum(size_of(entry) for entry in self._entries if entry is not None)
        self._flight = []
        self._sent, self._sent_bytes = self._settled, 0
        self._holes, self.bytes = holes, size
        self._strip()
        return again

    def withdraw(self, number: int) -> None:
        """Don't send that event any more; when it is on its way it may arrive all the same."""
        index = number - self._settled - 1
        if index < 0 or (entry := self._entries[index]) is None:
            return
        size, flight, sent_bytes = size_of(entry), self._flight, self._sent_bytes
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
        self._flight, self._sent_bytes = flight, sent_bytes
        self.bytes -= size
        self._strip()

    def settled(self, number: int) -> bool:
        """Say whether nothing up to that number is open any more."""
        return number <= self._settled

    def _cut(self) -> Batch | None:
        """Give the next batch: consecutive events, none of which is a hole."""
        self._strip()
        entries, index = self._entries, self._sent - self._settled
        size = self.bytes - self._sent_bytes
        if not self._holes and len(entries) - index <= BATCH_EVENTS and size <= BATCH_BYTES:
            cut: list[Any] = entries[index:]
            return Batch(self._sent + 1, cut, size) if cut else None
        while index < len(entries) and entries[index] is None:
            index += 1
        first, size, cut = self._settled + index + 1, 0, []
        for entry in entries[index : index + BATCH_EVENTS]:
            if entry is None:
                break
            more = size_of(entry)
            if cut and size + more > BATCH_BYTES:
                break
            cut.append(entry)
            size += more
        return Batch(first, cut, size) if cut else None

    def _strip(self) -> None:
        """Settle what need not be sent any more and has nothing open before it."""
        if not self._holes:
            return
        end = self._flight[0].first - self._settled - 1 if self._flight else len(self._entries)
        count = 0
        while count < end and self._entries[count] is None:
            count += 1
        settled = self._settled + count
        sent = max(self._sent, settled)
        del self._entries[:count]
        self._holes -= count
        self._settled, self._sent = settled, sent
