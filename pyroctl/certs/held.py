"""The certificates that this host holds with their keys. Needs no cryptography."""

from __future__ import annotations

import os
import tomllib
from os.path import join
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.certs.der import Facts, first_certificate, read_facts
from pyroctl.certs.files import CERT, JOINED, KEY, folder, issued_names, parse, read
from pyroctl.certs.names import checked_address
from pyroctl.errors import PyroctlError, UsageError, describe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pyroctl.certs.lifetime import Lifetime
    from pyroctl.core.spec import ServiceSpec

HEAD = "# Written by pyroctl join. The manager renews the certificate there.\n"


class Held(NamedTuple):
    """A certificate whose key is here."""

    name: str
    folder: str
    facts: Facts
    address: str | None
    """Where the host with the CA renews it, `HOST:PORT`; None: it was not got by joining."""
    foreign: bool = False
    """Whether it is elsewhere, and a service uses it: it is watched, and renewed by others."""

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


def used(directory: str, files: Iterable[str]) -> tuple[list[Held], list[str]]:
    """Return the certificates that services use and that are not in a site's directory.

    Each has the name of its file. Also returns what is wrong with files that can't be read.
    """
    found, wrong = [], []
    issued = os.path.realpath(os.path.dirname(folder(directory, "x"))) + os.sep
    for file in sorted(set(files)):
        if os.path.realpath(file).startswith(issued):
            continue
        try:
            found.append(Held(file, os.path.dirname(file), facts_of(file), None, foreign=True))
        except (OSError, PyroctlError) as error:
            wrong.append(f"{file}: {describe(error)}")
    return found, wrong


def files_of(services: Iterable[ServiceSpec]) -> list[str]:
    """Return the files of certificates that services are configured to use."""
    found = []
    for spec in services:
        for key in ("tls_certificate", "ssl_servercert"):
            file = getattr(spec.options, key, None)
            if file is not None:
                found.append(file)
    return found


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
