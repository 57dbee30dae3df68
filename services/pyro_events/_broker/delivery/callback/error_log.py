"""The log of events that failed at a subscriber."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._protocol.event import Item

_LOG_PAUSE = 1.0
_log = logging.getLogger("pyro_events")


class ErrorLog:
    """Logs failed events of one subscriber, but not more than one a second."""

    __slots__ = ("_at", "_quiet")

    def __init__(self) -> None:
        self._at = float("-inf")
        self._quiet = 0

    def hand_over(self) -> tuple[float, int]:
        """Say when the last line was, and how many have no line yet."""
        return self._at, self._quiet

    def take_over(self, values: tuple[float, int]) -> None:
        """Go on from what another process has handed over."""
        self._at, self._quiet = values

    def warn(self, subscriber: BrokerSubscriber, item: Item, error: str) -> None:
        """Log it, or count it for the next line."""
        now = subscriber.context.loop.clock()
        if now - self._at < _LOG_PAUSE:
            self._quiet += 1
            return
        if "unsupported serialized class" in error:
            error += " (import pyro_events there, or subscribe with as_dict=True)"
        more = f" (and {self._quiet} more since the last such line)" if self._quiet else ""
        _log.warning("%s: event about %r failed: %s%s", subscriber, item[0], error, more)
        self._at, self._quiet = now, 0
