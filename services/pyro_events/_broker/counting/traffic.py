"""How much passes, and how long events take from their publish to the socket. Pure.

It counts by frame, never by event: all events of a frame count as the one in its middle.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, ClassVar, Final

from pyro_events._broker.snapshot.fields import Fields, Snapshotted, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._protocol.event import Item

BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
"""Seconds."""


class Traffic(Snapshotted):
    """Counts since the start; for the loop's thread."""

    __slots__ = ("delays", "received", "seconds", "sent")

    SNAPSHOT: ClassVar = Fields("received", "sent", "seconds", delays=plain(list))

    def __init__(self) -> None:
        self.received = 0
        """Bytes from clients."""
        self.sent = 0
        """Bytes to clients, those included that wait for their sockets."""
        self.delays = [0] * (len(BOUNDS) + 1)
        """Events by how long they took; the last count is for those beyond all bounds."""
        self.seconds = 0.0
        """The sum of these durations."""

    def delivered(self, items: Sequence[Item], now: float) -> None:
        """Count the events of a frame, which is handed to its socket at the time `now`."""
        count = len(items)
        delay = now - items[count >> 1][1]
        self.delays[bisect_left(BOUNDS, delay)] += count
        if delay > 0:  # else somebody has set the clock
            self.seconds += delay * count

    def histogram(self) -> dict[str, object]:
        """Return the durations for JSON."""
        return {"bounds": list(BOUNDS), "counts": list(self.delays), "sum": round(self.seconds, 6)}
