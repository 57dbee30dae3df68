"""The certificates that this host holds with their keys. Needs no cryptography."""

from __future__ import annotations

import os
import tomllib
from os.path import join
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.certs.der import Facts, first_certificate, read_facts
from pyroctl.certs.files import CERT, JOINED, KEY, folder, issued_names, parse, read
from pyroctl.certs.names import checked_address
from pyroctl.errors import PyroctlError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from pyroctl.certs.lifetime import Lifetime

HEAD = "# Written by pyroctl join. The manager renews the certificate there.\n"


class Held(NamedTuple):
    """A certificate whose key is here."""

    name: str
    folder: str
    facts: Facts
    address: str | None
    """Where the host with the CA renews it, `HOST:PORT`; None: it was not got by joining."""

    @property
    def lifetime(self) -> Lifetime:
        """When it is valid."""
        return self.facts.lifetime

    def entry(self, now: datetime) -> dict[str, object]:
        """Return what a status has of it."""
        return {
            "name": self.name,
            "expires": self.lifetime.end.isoformat(),
            "days": self.lifetime.days_left(now),
            "due": now >= self.lifetime.warnings[0],
        }


def held(directory: str) -> list[Held]:
    """Return the certificates in a site's directory that have a key; raises PyroctlError."""
    names = issued_names(directory)
    return [_held(directory, n) for n in names if os.path.lexists(join(folder(directory, n), KEY))]


def has_ca(directory: str) -> bool:
    """Return whether this is the directory of the host with the CA."""
    return os.path.lexists(join(directory, "ca", CERT))


def has_ca_key(directory: str) -> bool:
    """Return whether this host can sign."""
    return os.path.lexists(join(directory, "ca", KEY))


def facts_of(file: str) -> Facts:
    """Return what the first certificate in a PEM file says; raises OSError or PyroctlError."""
    try:
        return read_facts(first_certificate(read(file)))
    except ValueError as error:
        raise PyroctlError(f"the file can't be used: {error}", file=file) from None


def joined_toml(address: str, site: str) -> bytes:
    """Return the content of joined.toml."""
    import tomli_w

    return (HEAD + tomli_w.dumps({"address": address, "site": site})).encode()


def _held(directory: str, name: str) -> Held:
    place = folder(directory, name)
    try:
        address = parse(join(place, JOINED), _address)
    except FileNotFoundError:
        address = None
    return Held(name, place, facts_of(join(place, CERT)), address)


def _address(source: str) -> str:
    try:
        return checked_address(str(tomllib.loads(source).get("address")))
    except UsageError as error:
        raise ValueError(error.message) from None
