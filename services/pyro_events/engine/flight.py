"""Requests to a callback subscriber that are under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyro_events.engine.encoder import Item


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
