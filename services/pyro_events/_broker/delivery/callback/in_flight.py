"""Requests to a callback subscriber that are under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter
    from pyro_events._protocol.event import Item


_QUICK: Final = 0.25
_SLOW: Final = 1.0
"""Seconds: a batch that takes less may grow, one that takes more has to shrink."""


class InFlightBatch:
    """Requests that are not answered yet: one batch, or single calls with successive numbers."""

    __slots__ = ("batch", "items", "notice", "seq", "since")

    def __init__(
        self,
        seq: int,
        items: list[Item],
        since: float,
        *,
        batch: bool,
        notice: dict[str, object] | None = None,
    ) -> None:
        self.seq = seq
        self.items = items
        self.since = since
        self.batch = batch
        self.notice = notice

    def answered(self) -> Item:
        """Give the event of the first single call, which is under way no more."""
        self.seq = (self.seq + 1) & 0xFFFF
        return self.items.pop(0)

    def next_limit(self, limit: int, most: int, now: float, *, full: bool) -> int:
        """Give how many events the next one may have: an `event` that is slow has to answer, too.

        `limit` is how many this one might have had, `full` whether it had as many.
        """
        took = now - self.since
        if took > _SLOW:
            return max(1, limit // 4)
        return min(limit * 2, most) if took < _QUICK and full else limit

    def hand_over(self, sender: SnapshotWriter) -> tuple[Any, ...]:
        """Say everything."""
        return self.seq, sender.share(self.items), self.since, self.batch, self.notice

    @classmethod
    def take_over(cls, receiver: SnapshotReader, values: tuple[Any, ...]) -> InFlightBatch:
        """Make it from what another process has handed over."""
        seq, items, since, batch, notice = values
        return cls(seq, receiver.shared(items), since, batch=batch, notice=notice)
