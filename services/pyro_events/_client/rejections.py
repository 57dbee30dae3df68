"""What publishers are told of events that the event service has refused, or not taken in time.

A ledger belongs to one thread at a time; threads that share it need a lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyro_events.errors import NotPublished, Unreachable

if TYPE_CHECKING:
    from collections.abc import Collection


class Rejections:
    """Knows which events are waited for, and why events were refused."""

    def __init__(self) -> None:
        self.awaited: dict[int, Exception | None] = {}
        """The numbers of events for which a thread waits, and the error, if one was refused."""
        self._first: Exception | None = None
        self._count = 0

    def note(self, numbers: Collection[int], error: Exception) -> int:
        """Note why these events were refused; return how many of them nobody waits for."""
        posted = 0
        for number in numbers:
            if number in self.awaited:
                self.awaited[number] = error
            else:
                posted += 1
        if posted:
            self._first = self._first or error
            self._count += posted
        return posted

    def take(self) -> NotPublished | None:
        """Return the error for the events that nobody waited for, once; None if there are none."""
        first, count = self._first, self._count
        self._first, self._count = None, 0
        if first is None:
            return None
        error = NotPublished(f"{events(count)} not published: {first}", count)
        error.__cause__ = first
        return error


def not_taken(
    timeout: float, state: str, failure: Exception | None, *, connected: bool
) -> Unreachable:
    """Return the error for an event that was not taken in time; `failure` is why, if known."""
    if failure is None:
        reason = "connected, but it doesn't take events" if connected else "connecting"
    else:
        reason = str(failure)
    return Unreachable(
        f"the event service did not take the event within {timeout:g} s; {state}: {reason}"
    )


def events(count: int) -> str:
    """Return the number with its noun and verb."""
    return "1 event was" if count == 1 else f"{count} events were"
