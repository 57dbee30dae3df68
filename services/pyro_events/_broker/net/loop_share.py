"""How much of the loop's time clients may take with requests that are refused.

Refusing a large request can cost tens of milliseconds, in which nobody is served. So after each
one, large requests of that client wait until it has cost no more than a small share of the time,
however many connections it has, old and new ones. They come in turn, one at a time. What is
accepted costs nothing, and small requests never wait.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

SHARE: Final = 0.01
"""The part of the time that refused requests of one client may take."""
FREE: Final = 0.001
"""Seconds. A refusal that costs no more is an ordinary mistake."""
LONGEST: Final = 10.0
"""Seconds until the next large request, whatever the last ones have cost."""


@dataclass(slots=True, eq=False)
class _Debt:
    """What a client has to wait for: by the clock, when its next large request is handled."""

    until: float
    waiting: dict[object, Callable[[], None]] = field(default_factory=dict)
    """Its connections with such a request, in the order of their arrival, and how they go on."""


class LoopShare:
    """Makes clients wait that cost too much. For the loop's thread.

    `clock` returns seconds; `call_later` calls a function after a number of them.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._clock = clock
        self._call_later = call_later
        self._debts: dict[Hashable, _Debt] = {}
        self.slowed = 0
        """How many requests had to wait."""

    def admit(self, client: Hashable, connection: object, go: Callable[[], None]) -> bool:
        """Return whether a connection may send a large request now; else call `go` in its turn."""
        debt = self._debts.get(client)
        if debt is None:
            return True
        self.slowed += 1
        debt.waiting[connection] = go
        return False

    def leave(self, client: Hashable, connection: object) -> None:
        """Forget a connection that has ended."""
        if client in self._debts:
            self._debts[client].waiting.pop(connection, None)

    def charge(self, client: Hashable, seconds: float) -> None:
        """Make the client wait for having cost so much processor time, unless that is little."""
        if seconds <= FREE:
            return
        now = self._clock()
        debt = self._debts.get(client)
        if debt is None:
            debt = self._debts[client] = _Debt(now)
            self._call_later(0.0, lambda: self._proceed(client, debt))
        debt.until = min(max(now, debt.until) + seconds / SHARE, now + LONGEST)

    def _proceed(self, client: Hashable, debt: _Debt) -> None:
        """Continue with the next connection, or end the debt, when it is time."""
        left = debt.until - self._clock()
        if left <= 0.0:
            if not debt.waiting:
                del self._debts[client]
                return
            connection = next(iter(debt.waiting))
            debt.waiting.pop(connection)()
        self._call_later(max(0.0, left), lambda: self._proceed(client, debt))
