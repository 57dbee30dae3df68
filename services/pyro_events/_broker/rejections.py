"""What clients are refused because of a limit, counted by the limit's name."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from pyro_events._protocol.decode_limits import LimitReached

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS: Final = (
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
"""The settings in whose name something may be refused."""


class RejectionCounters:
    """Counts refusals. For the loop's thread."""

    def __init__(self) -> None:
        self._counts = Counter(dict.fromkeys(LIMITS, 0))

    def count(self, error: BaseException) -> None:
        """Count it if a limit is the reason."""
        if isinstance(error, LimitReached):
            self._counts[error.limit] += 1

    def take_over(self, counts: Mapping[str, int]) -> None:
        """Go on from the counts of another process."""
        self._counts.update(counts)

    def as_dict(self) -> dict[str, int]:
        """Give the number of refusals for every limit."""
        return dict(self._counts)
