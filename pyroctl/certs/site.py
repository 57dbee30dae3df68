"""A site on the host that has its CA: issues, renews and removes certificates in `files`."""

from __future__ import annotations

import os
import shutil
from os.path import join
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.certs import files
from pyroctl.certs.clients import Clients, parse_clients
from pyroctl.certs.files import CA, CERT, CLIENTS, KEY, locked, parse, read, read_key, write_folder
from pyroctl.certs.held import held
from pyroctl.certs.lifetime import CA_DAYS, State
from pyroctl.certs.names import checked_name
from pyroctl.certs.token_file import TokenFile
from pyroctl.directories import make_private
from pyroctl.errors import PyroctlError, UsageError
from pyroctl.private_file import write_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pyroctl.certs.authority import Authority, Certificate
    from pyroctl.certs.names import Host

try:
    from pyroctl.certs import authority
except ImportError as error:
    if (error.name or "").partition(".")[0] != "cryptography":
        raise
    raise PyroctlError(
        "certificates need the package cryptography, version 42 or later",
        hint="pip install 'pyroctl[tls]'",
    ) from None


class Row(NamedTuple):
    """One name: its certificate if that is here, and what it is worth."""

    name: str
    certificate: Certificate | None
    fingerprint: str
    state: State


class Site:
    """The certificates of a site; every method raises PyroctlError or OSError."""

    def __init__(self, directory: str) -> None:
        """Open an existing site; raises PyroctlError if there is none."""
        self.directory = directory
        self.tokens = TokenFile(directory)
        try:
            self.ca_pem = read(join(directory, "ca", CERT))
        except FileNotFoundError:
            raise PyroctlError(
                f"there is no CA in {directory}", hint="pyroctl certs init makes one"
            ) from None
        make_private(directory)
        self.ca = _certificate(self.ca_pem, join(directory, "ca", CERT))

    @property
    def clients(self) -> Clients:
        """The content of clients.toml."""
        return parse(join(self.directory, CLIENTS), parse_clients)

    def folder(self, name: str) -> str:
        """Return the directory with the files of a name."""
        return files.folder(self.directory, name)

    def issue(
        self, name: str, hosts: Sequence[Host], now: datetime, days: int, *, replace: bool
    ) -> Certificate:
        """Make a key and a certificate, write both, and let the key in."""
        with locked(self.directory):
            key, public = authority.new_key()
            issued = self._authority().issue(name, hosts, public, now, days)
            return self._store(name, issued, key, now, replace=replace)

    def sign_request(
        self, request: bytes, name: str, hosts: Sequence[Host], now: datetime, days: int
    ) -> Certificate:
        """Issue a certificate for a key that stays on another host, and let the key in.

        An earlier certificate of that name is replaced.
        """
        with locked(self.directory):
            try:
                issued = self._authority().sign_request(request, name, hosts, now, days)
            except authority.UnusableError as error:
                raise PyroctlError(f"the request of {name} {error}") from None
            return self._store(name, issued, None, now, replace=True)

    def renew(self, name: str, now: datetime, days: int | None) -> Certificate:
        """Replace a certificate by one for the same key with a later end."""
        with locked(self.directory):
            file = join(self.folder(name), CERT)
            try:
                old = read(file)
            except FileNotFoundError:
                raise self._unknown(name) from None
            before = _certificate(old, file)
            if self.clients.keys.get(name) != before.fingerprint:
                raise PyroctlError(
                    f"the key of {name} is not in clients.toml, so it is not renewed",
                    hint=f"pyroctl certs {before.kind} --force makes a new one",
                )
            new = self._authority().renew(old, now, days)
            write_private(join(self.folder(name), CA), self.ca_pem, replace=True)
            write_private(file, new, replace=True)
            return _certificate(new, file)

    def remove(self, name: str, now: datetime) -> None:
        """Remove the key of a name from clients.toml, end its token, and delete its files here."""
        with locked(self.directory):
            clients, tokens = self.clients, self.tokens.read()
            known = name in clients.keys, os.path.lexists(self.folder(name))
            left = tokens.without(name)
            if not any(known) and left == tokens:
                raise self._unknown(name)
            if name in clients.keys:
                self._write_clients(clients.remove(name, now))
            if left != tokens:
                self.tokens.write(left)
            if known[1]:
                shutil.rmtree(self.folder(name))

    def rows(self, now: datetime) -> list[Row]:
        """Return all that is here or in clients.toml, the CA first."""
        keys = self.clients.keys
        ca = Row(self.ca.name, self.ca, self.ca.fingerprint, self.ca.lifetime.state(now))
        return [ca, *(self._row(name, keys.get(name), now) for name in self.names())]

    def names(self) -> list[str]:
        """Return the names that have a certificate here, or a key in clients.toml."""
        return sorted({*files.issued_names(self.directory), *self.clients.keys})

    def _row(self, name: str, key: str | None, now: datetime) -> Row:
        file = join(self.folder(name), CERT)
        try:
            found = _certificate(read(file), file)
        except FileNotFoundError:
            return Row(name, None, key or "", State.NOT_HERE)
        state = found.lifetime.state(now)
        if key != found.fingerprint:
            state = State.NOT_ALLOWED
        elif not authority.issued_by(found, self.ca_pem):
            state = State.OTHER_CA
        return Row(name, found, found.fingerprint, state)

    def _authority(self) -> Authority:
        file = join(self.directory, "ca", KEY)
        try:
            return authority.load_authority(self.ca_pem, read_key(file), self.clients.site)
        except authority.UnusableError as error:
            raise PyroctlError(f"the CA's certificate {error}", file=file) from None

    def _store(
        self, name: str, issued: bytes, key: bytes | None, now: datetime, *, replace: bool
    ) -> Certificate:
        """Write the files of a name, and then let its key in."""
        clients = self.clients
        if not replace and (os.path.lexists(self.folder(name)) or name in clients.keys):
            raise PyroctlError(
                f"there is a certificate for {name} already",
                hint="--force replaces it and its key, pyroctl certs renew keeps the key",
            )
        make_private(join(self.directory, "issued"))
        content = {CERT: issued, CA: self.ca_pem, **({KEY: key} if key else {})}
        write_folder(self.folder(name), content)
        certificate = _certificate(issued, join(self.folder(name), CERT))
        self._write_clients(clients.allow(name, certificate.fingerprint, now))
        return certificate

    def _write_clients(self, clients: Clients) -> None:
        file = join(self.directory, CLIENTS)
        write_private(file, clients.to_toml().encode(), replace=True)

    def _unknown(self, name: str) -> PyroctlError:
        from pyroctl.suggestions import nearest_name

        nearest = nearest_name(name, self.names())
        hint = f"did you mean {nearest!r}?" if nearest else "pyroctl certs list shows all"
        return PyroctlError(f"there is no certificate for {name}", hint=hint)


def held_rows(directory: str, now: datetime) -> list[Row]:
    """Return the certificates with a key on a host without the CA."""
    rows = []
    for one in held(directory):
        file = join(one.folder, CERT)
        found = _certificate(read(file), file)
        rows.append(Row(one.name, found, found.fingerprint, found.lifetime.state(now)))
    return rows


def create_site(
    directory: str,
    name: str | None,
    now: datetime,
    ca: tuple[str, str] | None = None,
    *,
    days: int = CA_DAYS,
    replace: bool = False,
) -> Site:
    """Make a CA, or take the one in these two files; keys that are let in stay so.

    The name of the site is kept if there is one and none is given.
    """
    make_private(directory)
    with locked(directory):
        folder = join(directory, "ca")
        if os.path.lexists(folder) and not replace:
            raise PyroctlError(
                f"there is a CA in {directory} already",
                hint="--force replaces it: then all certificates have to be renewed and copied",
            )
        clients_file = join(directory, CLIENTS)
        try:
            clients = parse(clients_file, parse_clients)
        except FileNotFoundError:
            clients = Clients(name or default_site(), {}, {})
        clients = clients._replace(site=name or clients.site)
        cert, key = (
            _existing(*ca, now) if ca else authority.create_authority(clients.site, now, days)
        )
        write_private(clients_file, clients.to_toml().encode(), replace=True)
        write_folder(folder, {CERT: cert, KEY: key})
    return Site(directory)


def default_site() -> str:
    """Return the host's name up to the first dot; raises UsageError if it can't be a name."""
    try:
        return checked_name(os.uname().nodename.partition(".")[0])
    except UsageError as error:
        raise UsageError(
            f"the site can't be called like this host: {error.message}",
            hint="pyroctl certs init SITE gives it a name",
        ) from None


def _existing(cert_file: str, key_file: str, now: datetime) -> tuple[bytes, bytes]:
    """Return certificate and key of a CA that exists already."""
    from pyroctl.certs.lifetime import new_lifetime

    cert, key = read(cert_file), read_key(key_file)
    try:
        found = authority.load_authority(cert, key, "")
    except authority.UnusableError as error:
        raise PyroctlError(f"the certificate {error}", file=cert_file) from None
    new_lifetime(now, 1, found.lifetime)
    return cert, key


def _certificate(source: bytes, file: str) -> Certificate:
    try:
        return authority.read_certificate(source)
    except authority.UnusableError as error:
        raise PyroctlError(f"the file {error}", file=file) from None
