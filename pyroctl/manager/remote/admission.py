"""Which connections the listener for other hosts takes, so that strangers can't keep it busy. Pure.

A TLS handshake costs a millisecond of the manager's event loop, so their rate is limited. Places
for clients that have shown no certificate are few; when they are taken, the one that has waited
longest is disconnected, so that whoever is quick comes in.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

MOST_STRANGERS = 32
MOST_STRANGERS_PER_ADDRESS = 8
MOST_CLIENTS = 64
"""Connections of clients with a certificate that is allowed."""
MOST_ADDRESSES = 1000
"""Addresses whose rate is remembered."""


class Rate(NamedTuple):
    """How many at once, and after that how many in a second."""

    burst: float
    per_second: float


TOTAL = Rate(40, 20)
PER_ADDRESS = Rate(10, 4)


class Bucket(NamedTuple):
    """How many are left at a time, in seconds of a clock that never goes back."""

    left: float
    time: float

    def at(self, now: float, rate: Rate) -> Bucket:
        """Return what is left at a later time."""
        return Bucket(min(rate.burst, self.left + (now - self.time) * rate.per_second), now)


class Admission:
    """Counts connections by their ids; the owner closes those that it is told to."""

    def __init__(self) -> None:
        self._total = Bucket(TOTAL.burst, 0.0)
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._strangers: OrderedDict[int, str] = OrderedDict()
        """Addresses by id, the oldest first."""
        self._clients: set[int] = set()

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._strangers) + len(self._clients)

    def arrive(self, id_: int, address: str, now: float) -> str | None:
        """Take a connection, and return None, or why it is refused."""
        total = self._total.at(now, TOTAL)
        own = self._buckets.pop(address, Bucket(PER_ADDRESS.burst, now)).at(now, PER_ADDRESS)
        reason = None
        if min(own.left, total.left) < 1:
            reason = "too many connections in a second"
        else:
            own = own._replace(left=own.left - 1)
            self._total = total._replace(left=total.left - 1)
        self._buckets[address] = own
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        if reason is None and self._of(address) >= MOST_STRANGERS_PER_ADDRESS:
            reason = "too many connections of one address"
        if reason is None:
            self._strangers[id_] = address
        return reason

    def superfluous(self) -> int | None:
        """Return the connection that has to go for a new one."""
        return next(iter(self._strangers)) if len(self._strangers) > MOST_STRANGERS else None

    def introduce(self, id_: int) -> bool:
        """Move a client with a certificate to a place of its own; return False if there is none."""
        self._strangers.pop(id_, None)
        if len(self._clients) >= MOST_CLIENTS:
            return False
        self._clients.add(id_)
        return True

    def leave(self, id_: int) -> None:
        """Forget a connection that has ended."""
        self._strangers.pop(id_, None)
        self._clients.discard(id_)

    def _of(self, address: str) -> int:
        return sum(other == address for other in self._strangers.values())
