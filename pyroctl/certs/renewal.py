"""When certificates are renewed, and when to warn that they end. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyroctl.certs.lifetime import Lifetime

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)
"""Between two attempts at a renewal that fails; it doubles."""
LONGEST_SLEEP = timedelta(days=1)
"""Nothing announces certificates that were made or replaced, so they are read once a day."""
STATES = ("valid", "due", "urgent", "expired")


class Attempts(NamedTuple):
    """The attempts at a renewal that have failed."""

    failures: int
    next: datetime

    @classmethod
    def failed(cls, before: Attempts | None, now: datetime) -> Attempts:
        """Return the attempts after another one."""
        failures = 1 if before is None else before.failures + 1
        pause = min(FIRST_PAUSE * 2 ** min(failures - 1, 16), LONGEST_PAUSE)
        return cls(failures, now + pause)


def state_of(lifetime: Lifetime, now: datetime) -> str:
    """Return one of `STATES`."""
    return STATES[sum(now >= moment for moment in lifetime.warnings)]


def is_due(lifetime: Lifetime, now: datetime, attempts: Attempts | None) -> bool:
    """Return whether to renew it now: after two thirds of its life, or when to try again.

    A clock that was set back doesn't keep it waiting for longer than `LONGEST_PAUSE`.
    """
    if now < lifetime.renewal:
        return False
    return attempts is None or not now < attempts.next <= now + LONGEST_PAUSE


def next_time(
    lifetimes: Mapping[str, Lifetime], attempts: Mapping[str, Attempts], now: datetime
) -> datetime:
    """Return when something is to be done next."""
    moments: Iterable[datetime] = [
        moment
        for lifetime in lifetimes.values()
        for moment in (lifetime.renewal, *lifetime.warnings)
    ]
    moments = [*moments, *(one.next for one in attempts.values())]
    return min((moment for moment in moments if moment > now), default=now + LONGEST_SLEEP)
