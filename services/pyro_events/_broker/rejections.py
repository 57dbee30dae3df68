"""What clients are refused because of a limit: counted by its name, and logged with restraint."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, ClassVar, Final

from pyro_events._broker.rules import NotAllowed
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted
from pyro_events._protocol.decode_limits import LimitReached
from pyro_events._protocol.subjects import ReservedSubject

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERVAL: Final = 1.0
"""Seconds between lines of the log about refused handshakes."""
_log = logging.getLogger("pyro_events")

LIMITS: Final = (
    "callback_allow",
    "callback_failures",
    "descriptors",
    "handshake_size",
    "handshake_timeout",
    "ident",
    "max_connections",
    "max_connections_per_peer",
    "max_handshakes",
    "max_message_size",
    "max_publishers",
    "max_subscribers",
    "max_subscriptions",
    "owner",
    "publishers_per_connection",
    "queue_bytes",
    "reserved",
    "rule",
    "tls",
    "trusted",
)
"""The reasons for rejections: settings, `owner` for what belongs to another client, `reserved` for
subjects of the manager, `rule` for what no rule allows, and the system's limit of descriptors."""


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
            self.add(error.limit, 1)
        elif isinstance(error, ReservedSubject):
            self.add("reserved", 1)
        elif isinstance(error, NotAllowed):
            self.add("rule", 1)
        elif isinstance(error, PermissionError):
            self.add("owner", 1)

    def add(self, reason: str, number: int) -> None:
        """Count rejections for a reason."""
        self._counts[reason] += number

    def as_dict(self) -> dict[str, int]:
        """Return the number of rejections for every limit."""
        return dict(self._counts)


class RefusalLog:
    """Logs refused handshakes, at most one line in a second; it tells how many there were.

    `call_later` calls a function after a number of seconds.
    """

    def __init__(
        self,
        call_later: Callable[[float, Callable[[], None]], object],
        level: int = logging.INFO,
    ) -> None:
        self._call_later = call_later
        self._level = level
        self._waiting = False
        self._more = 0
        self._last = ""

    def refused(self, text: str) -> None:
        """Log a refusal now, or with others within a second."""
        if self._waiting:
            self._more, self._last = self._more + 1, text
        else:
            _log.log(self._level, "%s", text)
            self._wait()

    def _wait(self) -> None:
        self._waiting = True
        self._call_later(_INTERVAL, self._summarize)

    def _summarize(self) -> None:
        self._waiting = False
        if self._more:
            _log.log(self._level, "%d more refused; the last: %s", self._more, self._last)
            self._more = 0
            self._wait()
