"""What one subscriber got of numbered events: all, once, in order? Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Follows the numbers 0, 1, 2 … of one source."""

    received: int = 0
    doubled: int = 0
    disordered: int = 0
    _next: int = 0
    _missing: set[int] = field(default_factory=set)

    @property
    def next(self) -> int:
        """Return the number after the highest one so far."""
        return self._next

    @property
    def lost(self) -> int:
        """Return how many of the lower numbers have not come."""
        return len(self._missing)

    def take(self, number: int) -> None:
        """Count an event."""
        self.received += 1
        if number == self._next:
            self._next += 1
        elif number > self._next:
            self._missing.update(range(self._next, number))
            self._next = number + 1
        elif number in self._missing:
            self._missing.remove(number)
            self.disordered += 1
        else:
            self.doubled += 1

    def result(self, sent: int) -> dict[str, int]:
        """Return the counts, given how many were sent."""
        return {
            "received": self.received,
            "lost": len(self._missing) + max(0, sent - self._next),
            "doubled": self.doubled,
            "disordered": self.disordered,
        }
