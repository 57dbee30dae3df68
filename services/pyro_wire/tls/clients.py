"""Which keys a server lets in: the names and fingerprints in clients.toml. Pure."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pyro_wire.tls.errors import not_allowed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyro_wire.tls.certificate import Certificate


class AllowedClients(NamedTuple):
    """The content of clients.toml, which `pyroctl certs` writes."""

    keys: Mapping[str, str]
    """The SHA-256 of the public key for each name, in hex."""
    removed: Mapping[str, datetime]
    """When keys were thrown out."""

    def refusal(self, peer: Certificate) -> str | None:
        """Return the sentence for a certificate that isn't let in, None for one that is."""
        if peer.name and self.keys.get(peer.name) == peer.fingerprint:
            return None
        return not_allowed(peer, self.removed.get(peer.fingerprint))


def parse_clients(source: str) -> AllowedClients:
    """Return the content of a clients.toml. Raises ValueError."""
    tables = tomllib.loads(source)
    keys, removed = tables.get("clients", {}), tables.get("removed", {})
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        raise ValueError("clients is not a table of fingerprints")
    if not isinstance(removed, dict):
        raise ValueError("removed is not a table")  # noqa: TRY004 - one error for all of it
    return AllowedClients(keys, {key: _time(value) for key, value in removed.items()})


def _time(value: Any) -> datetime:
    match value:
        case {"time": datetime() as time}:
            return time if time.tzinfo else time.replace(tzinfo=UTC)
    raise ValueError("an entry of removed has no time")
