"""Requests to a callback subscriber that are under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyro_events.engine.encoder import Item
    from pyro_events.engine.parcel import Receiver, Sender


class Flight:
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

    def hand_over(self, sender: Sender) -> tuple[Any, ...]:
        """Say everything."""
        return self.seq, sender.share(self.items), self.since, self.batch, self.notice

    @classmethod
    def take_over(cls, receiver: Receiver, values: tuple[Any, ...]) -> Flight:
        """Make it from what another process has handed over."""
        seq, items, since, batch, notice = values
        return cls(seq, receiver.shared(items), since, batch=batch, notice=notice)
