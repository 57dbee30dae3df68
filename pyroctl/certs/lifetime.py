"""How long a certificate is valid, and when it has to be renewed. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from pyroctl.errors import PyroctlError

CA_DAYS = 3650
DAYS = 365
DUE = timedelta(days=30)
"""A certificate is due this long before its end, or in the last third of a short life."""
URGENT = timedelta(days=7)
"""It is urgent this long before its end, or in the last sixth of a short life."""
BACKDATED = timedelta(hours=1)
"""For hosts whose clock is slow."""


class State(StrEnum):
    """What a certificate is worth."""

    VALID = "valid"
    DUE = "due"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    OTHER_CA = "other CA"
    """Issued by another CA than that of the site: the CA was replaced."""
    NOT_ALLOWED = "not allowed"
    """Its key is not in clients.toml."""
    NOT_HERE = "not here"
    """Its key is in clients.toml, but the certificate is not in the directory."""


NEEDS_RENEWAL = frozenset({State.DUE, State.EXPIRED, State.OTHER_CA})


class Lifetime(NamedTuple):
    """When a certificate begins and ends to be valid, in UTC."""

    begin: datetime
    end: datetime

    @property
    def renewal(self) -> datetime:
        """When it should be renewed: after two thirds."""
        return self.end - (self.end - self.begin) / 3

    def state(self, now: datetime) -> State:
        """Return whether it is valid at a time, and if so whether it is due."""
        if now < self.begin:
            return State.NOT_YET_VALID
        if now >= self.end:
            return State.EXPIRED
        return State.DUE if now >= self.warnings[0] else State.VALID

    @property
    def warnings(self) -> tuple[datetime, datetime, datetime]:
        """When it is due, urgent, and over."""
        third = (self.end - self.begin) / 3
        return self.end - min(DUE, third), self.end - min(URGENT, third / 2), self.end

    def days_left(self, now: datetime) -> int:
        """Return how many whole days are left; negative if it has expired."""
        return (self.end - now) // timedelta(days=1)

    def days(self) -> int:
        """Return the number of days for which it was asked for."""
        return round((self.end - self.begin) / timedelta(days=1))


def new_lifetime(now: datetime, days: int, ca: Lifetime | None = None) -> Lifetime:
    """Return the lifetime of a certificate that is made now: it ends with that of the CA.

    Raises PyroctlError if the CA isn't valid now.
    """
    now = now.replace(microsecond=0)
    begin, end = now - BACKDATED, now + timedelta(days=days)
    if ca is None:
        return Lifetime(begin, end)
    if now < ca.begin:
        raise PyroctlError(
            f"the clock shows {text(now)}, but the CA is valid only from {text(ca.begin)}",
            hint="set the clock of this machine",
        )
    if now >= ca.end:
        raise PyroctlError(
            f"the CA expired on {text(ca.end)}",
            hint="pyroctl certs init --force makes a new one",
        )
    return Lifetime(max(begin, ca.begin), min(end, ca.end))


def text(time: datetime) -> str:
    """Return a time as it is shown in sentences."""
    return f"{time:%Y-%m-%d %H:%M} UTC"
