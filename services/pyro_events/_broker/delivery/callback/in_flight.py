"""Requests to a callback subscriber that are under way, and the log of those that failed."""

from __future__ import annotations

import logging
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from pyro_events._broker.delivery.callback.messages import unknown_class
from pyro_events._broker.delivery.pacing import next_limit
from pyro_events._broker.snapshot.fields import EVENTS, Fields, Snapshotted
from pyro_events._protocol.event import CALLS_NAME, CLASS_NAME

if TYPE_CHECKING:
    from pyro_events._protocol.event import Item

_LOG_PAUSE: Final = 1.0
_log = logging.getLogger("pyro_events")


@dataclass(slots=True, eq=False)
class InFlightBatch(Snapshotted):
    """Unanswered requests: one batch, single calls with successive numbers, or one notice."""

    SNAPSHOT: ClassVar = Fields("batch", "notice", "seq", "since", items=EVENTS)

    seq: int = 0
    items: list[Item] = field(default_factory=list)
    since: float = 0.0
    _: KW_ONLY
    batch: bool = False
    notice: dict[str, object] | None = None

    def answered(self) -> Item:
        """Remove and return the event of the first single call."""
        self.seq = (self.seq + 1) & 0xFFFF
        return self.items.pop(0)

    def next_limit(self, limit: int, most: int, now: float, *, full: bool) -> int:
        """Return how many events the next batch may have, so that a slow `event` answers in time.

        `limit` is how many this one was allowed, `full` whether it had as many.
        """
        return next_limit(limit, most, now - self.since, full=full)


@dataclass(slots=True, eq=False)
class ErrorLog(Snapshotted):
    """Logs failed events of one subscriber, but not more than one a second."""

    SNAPSHOT: ClassVar = Fields("_at", "_quiet")

    _at: float = float("-inf")
    _quiet: int = 0

    def warn(self, subscriber: str, item: Item, error: str, now: float) -> None:
        """Log a failure, or count it for the next line."""
        if now - self._at < _LOG_PAUSE:
            self._quiet += 1
            return
        if (name := unknown_class(error)) is not None:
            if name in (CALLS_NAME, CLASS_NAME):
                error += " (import pyro_events there, or subscribe with as_dict=True)"
            else:
                error += " (register that class with Pyro5's SerializerBase there)"
        more = f" (and {self._quiet} more since the last such line)" if self._quiet else ""
        _log.warning("%s: event about %r failed: %s%s", subscriber, item[0], error, more)
        self._at, self._quiet = now, 0
