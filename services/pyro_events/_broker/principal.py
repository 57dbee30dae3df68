"""The identity of a client, as far as the event service can tell.

Subscriptions, stream ids, publisher numbers, quotas and refusals belong to a principal, so that no
client can take or change what another one has.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal, NamedTuple

Evidence = Literal["certificate", "secret", "user", "address"]
"""What vouches for a principal, the strongest first."""


class Principal(NamedTuple):
    """One who uses the event service, over any number of connections."""

    evidence: Evidence
    name: str
    """The common name of its certificate, the name of its secret, "uid:1000", or its address."""

    def __str__(self) -> str:
        return self.name

    @property
    def account(self) -> Principal:
        """Whose places and time it takes up: its user's, whatever address that has chosen."""
        return self._replace(name=self.name.partition("@")[0]) if self.evidence == "user" else self


def principal_at(address: str | None, user: int | None) -> Principal:
    """Return who a client is before it has proven anything.

    `address` is None at the end of a Unix socket; `user` is known of clients on this machine. One
    that has chosen a loopback address for itself is another principal than the rest of its user.
    """
    if user is None:
        return Principal("address", address or "")
    plain = address is None or address == "127.0.0.1" or not address.startswith("127.")
    return Principal("user", f"uid:{user}" if plain else f"uid:{user}@{address}")


def share_of(limit: int) -> int:
    """Return how many of `limit` places one principal may take: others always find some."""
    return limit - limit // 4


def short_hash(text: str) -> str:
    """Return what stands for an id or an address where those it does not belong to may see it."""
    return sha256(text.encode()).hexdigest()[:8]
