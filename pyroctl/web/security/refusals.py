"""Counts refused requests by reason, and logs them at most once a minute."""

from __future__ import annotations

import logging
from collections import Counter

LOG_INTERVAL = 60.0
"""Seconds between two lines about one reason."""

log = logging.getLogger(__name__)


class Refusals:
    """What was refused since the start. Lives in the event loop's thread."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._logged: dict[str, tuple[float, int]] = {}

    def add(self, reason: str, message: str, peer: str, now: float) -> None:
        """Count a refusal; `now` is monotonic seconds."""
        self.counts[reason] += 1
        last, count = self._logged.get(reason, (-LOG_INTERVAL, 0))
        if now - last >= LOG_INTERVAL:
            total = self.counts[reason]
            more = f" ({total - count} since the last such line)" if count else ""
            log.warning("refused a request from %s: %s%s", peer, message, more)
            self._logged[reason] = (now, total)
