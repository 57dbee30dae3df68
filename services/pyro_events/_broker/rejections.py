"""What clients are refused because of a limit, counted by the limit's name."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, Final

from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted
from pyro_events._protocol.decode_limits import LimitReached

LIMITS: Final = (
    "handshake_size",
    "handshake_timeout",
    "ident",
    "max_connections",
    "max_connections_per_peer",
    "max_message_size",
    "max_subscribers",
    "max_subscriptions",
    "queue_bytes",
    "trusted",
)
"""The settings that may be the reason for a rejection."""


class RejectionCounters(Snapshotted):
    """Counts rejections. For the loop's thread."""

    SNAPSHOT: ClassVar = Fields(
        _counts=FieldCodec(lambda it, _: dict(it), lambda it, _: Counter(it))
    )

    def __init__(self) -> None:
        self._counts = Counter(dict.fromkeys(LIMITS, 0))

    def count(self, error: BaseException) -> None:
        """Count it if a limit is the reason."""
        if isinstance(error, LimitReached):
            self._counts[error.limit] += 1

    def as_dict(self) -> dict[str, int]:
        """Return the number of rejections for every limit."""
        return dict(self._counts)
