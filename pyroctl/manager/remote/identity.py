"""The listener's certificate, and the clients that it knows by theirs."""

from __future__ import annotations

import os
import ssl
from os.path import join
from typing import NamedTuple

from pyroctl.certs.clients import Clients, parse_clients
from pyroctl.certs.der import first_certificate, read_facts
from pyroctl.certs.files import CA, CERT, CLIENTS, KEY, folder, parse, read, read_key
from pyroctl.certs.lifetime import text
from pyroctl.errors import NotPermitted, PyroctlError

State = tuple[tuple[int, int], ...]


class Client(NamedTuple):
    """A client whose certificate is from our CA and was not removed."""

    name: str
    fingerprint: str


class Identity:
    """The certificate of the listener, which is read again when its files have changed."""

    def __init__(self, directory: str, name: str) -> None:
        self.directory = directory
        self._folder = folder(directory, name)
        self._seen: State | None = None
        self._context: ssl.SSLContext | None = None
        self.certificate = b""
        """In DER."""

    @property
    def ca(self) -> str:
        """The CA's certificate in PEM."""
        return read(join(self._folder, CA)).decode()

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection; raises PyroctlError or OSError.

        Connections that were made keep theirs, which is never changed.
        """
        seen = tuple(_version(join(self._folder, name)) for name in (CERT, KEY, CA))
        if self._context is None or seen != self._seen:
            self._context, self._seen = self._load(), seen
        return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0  # nobody resumes
        context.verify_mode = ssl.CERT_OPTIONAL  # a host that joins has none
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            read_key(join(self._folder, KEY))  # refused if others can read it
            context.load_cert_chain(join(self._folder, CERT), join(self._folder, KEY))
            context.load_verify_locations(join(self._folder, CA))
            self.certificate = first_certificate(read(join(self._folder, CERT)))
        except (ssl.SSLError, ValueError) as error:
            raise PyroctlError(
                f"the certificate can't be used: {error}", file=self._folder
            ) from None
        return context

    def client(self, tls: ssl.SSLObject) -> Client | None:
        """Return who is at the other end, None for one without a certificate.

        Raises NotPermitted if its key is not in clients.toml.
        """
        der = tls.getpeercert(binary_form=True)
        if der is None:
            return None
        fingerprint = read_facts(der).fingerprint
        try:
            clients = parse(join(self.directory, CLIENTS), parse_clients)
        except FileNotFoundError:
            clients = Clients("", {}, {})
        for name, key in clients.keys.items():
            if key == fingerprint:
                return Client(name, fingerprint)
        removal = clients.removed.get(fingerprint)
        why = f"was removed on {text(removal.time)}" if removal else "is not in clients.toml"
        raise NotPermitted(
            f"the key of this certificate {why}",
            hint="with a token the host gets a new one: certs token, on the host with the CA",
        )


def _version(file: str) -> tuple[int, int]:
    status = os.stat(file)
    return status.st_ino, status.st_mtime_ns
