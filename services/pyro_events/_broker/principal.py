"""The identity of a client, as far as the event service can tell.

Subscriptions, stream ids, publisher numbers, quotas and refusals belong to a principal, so that no
client can take or change what another one has.
"""

from __future__ import annotations

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
