"""How long a publisher waits for full queues, at a time and altogether. Pure.

Subscribers that get stuck cost a publisher its patience once each. However many new ones there are,
and whatever they do, they all together cost it no more than this budget (a token bucket).
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, ClassVar, Final

from pyro_events._broker.snapshot.fields import Fields, Snapshotted

if TYPE_CHECKING:
    from collections.abc import Callable

SHARE: Final = 0.005
"""The part of its time that a publisher waits in the long run: less than one event in a hundred is
late, so the 99th percentile of the delays doesn't show it."""
LEAST: Final = 0.001
"""Seconds. A shorter wait bridges nothing, and costs as much."""


class Patience(Snapshotted):
    """The seconds that one publisher waits at most; infinity is not limited.

    What was used comes back at `SHARE` of the time, which `clock` tells.
    """

    __slots__ = ("_clock", "_whole_at", "seconds")

    SNAPSHOT: ClassVar = Fields("seconds")
    TRANSIENT: ClassVar = (
        "_clock",
        "_whole_at",  # the next process may cost it once more
    )

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._whole_at = 0.0
        """When everything that was used has come back."""

    @property
    def endless(self) -> bool:
        """Whether it is not limited."""
        return self.seconds == inf

    def left(self) -> float:
        """Return how many seconds the publisher may wait now; 0 if that isn't worth it."""
        if self.endless:
            return inf
        left = self.seconds - max(0.0, self._whole_at - self._clock()) * SHARE
        return left if left >= min(LEAST, self.seconds) else 0.0

    def use(self, seconds: float) -> None:
        """Record that the publisher has waited; it never owes more than the whole."""
        if not self.endless:
            now = self._clock()
            whole_at = max(now, self._whole_at) + seconds / SHARE
            self._whole_at = min(whole_at, now + self.seconds / SHARE)

    def snapshot(self, _writer: object) -> float:
        """Return the seconds."""
        return self.seconds

    def restore(self, values: float, _reader: object) -> None:
        """Continue with the seconds of another process."""
        self.seconds = values
