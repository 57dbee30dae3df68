"""The files behind TLS, and what is made of them: contexts that are never changed in place."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyro_wire.private_file import open_private
from pyro_wire.tls.certificate import Certificate, read_certificate
from pyro_wire.tls.clients import AllowedClients, parse_clients
from pyro_wire.tls.errors import Known, explain
from pyro_wire.tls.session import TlsSession

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LARGEST: Final = 1 << 20
"""Bytes of a file."""
_ISSUED: Final = "issued"
_CLIENTS: Final = "clients.toml"


class TlsFiles(NamedTuple):
    """Where a certificate, its key and the CA are, and for a server also who is let in."""

    certificate: str
    key: str
    ca: str
    clients: str | None = None
    """A clients.toml; None lets in everybody with a certificate of the CA."""

    @classmethod
    def in_directory(cls, directory: str) -> TlsFiles:
        """Return the files of a directory that `pyroctl certs server` or `client` has made.

        clients.toml is in it, or where `pyroctl certs` keeps it, two levels above.
        """
        here = Path(directory).absolute()
        places = [here / _CLIENTS]
        if here.parent.name == _ISSUED:
            places.append(here.parent.parent / _CLIENTS)
        certificate, key, ca = (str(here / f"{name}.pem") for name in ("cert", "key", "ca"))
        clients = next((str(place) for place in places if place.exists()), None)
        return cls(certificate, key, ca, clients)

    @classmethod
    def chosen(
        cls,
        certificate: str | None,
        key: str | None,
        ca: str | None,
        clients: str | None,
        *,
        host: str,
        environ: Mapping[str, str],
    ) -> TlsFiles:
        """Return the files of a service at `host`: those beside its certificate if not given.

        Without a certificate it is that of this host in the site's directory. Raises ValueError if
        there is none.
        """
        directory = (
            site_directory(environ, host) if certificate is None else str(Path(certificate).parent)
        )
        found = cls.in_directory(directory)
        return cls(
            certificate or found.certificate,
            key or found.key,
            ca or found.ca,
            clients or found.clients,
        )

    def stamps(self) -> tuple[object, ...]:
        """Return what changes whenever one of the files is replaced. Raises OSError."""
        found = [Path(file).stat() for file in self if file is not None]
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


class TlsIdentity(NamedTuple):
    """One state of the files, as a server or a client uses it for new connections."""

    context: ssl.SSLContext
    own: Certificate
    ca: Certificate
    allowed: AllowedClients | None = None

    def session(self, host: str | None = None) -> TlsSession:
        """Return a new session; a client names the host that it wants to reach."""
        return TlsSession(self.context, host=host)

    def refusal(self, peer: Certificate | None) -> str | None:
        """Return a sentence if a client with this certificate, good for OpenSSL, isn't let in."""
        if peer is None:
            return "the other side has sent no certificate"
        return self.allowed.refusal(peer) if self.allowed is not None else None

    def explain(
        self, error: OSError, chain: Sequence[Certificate] = (), host: str | None = None
    ) -> str:
        """Return a sentence about a session that has failed; `chain` is that of the session."""
        return explain(error, Known(datetime.now(UTC), host, self.own, self.ca, chain))


def site_directory(environ: Mapping[str, str], host: str = "localhost") -> str:
    """Return the directory with this host's certificate, where `pyroctl certs` keeps those.

    That is $PYROCTL_CERTS, /var/lib/pyroctl/certs of root, or ~/.local/share/pyroctl/certs. Raises
    ValueError if none of this host's names has a certificate.
    """
    data = environ.get("XDG_DATA_HOME")
    if (chosen := environ.get("PYROCTL_CERTS")) is not None:
        site = Path(chosen)
    elif not data and os.geteuid() == 0:
        site = Path("/var/lib/pyroctl/certs")
    else:
        site = Path(data or Path("~/.local/share").expanduser()) / "pyroctl" / "certs"
    own = socket.gethostname()
    names = list(dict.fromkeys((host, own, own.partition(".")[0], "localhost")))
    for name in names:
        if (site / _ISSUED / name / "cert.pem").exists():
            return str(site / _ISSUED / name)
    raise ValueError(
        f"{site} has no certificate for this host ({', '.join(names)}): "
        "pyroctl certs server makes one"
    )


def load_server(files: TlsFiles) -> TlsIdentity:
    """Return what a server needs; clients must have a certificate of the CA.

    Raises ValueError or OSError with a sentence that names the file.
    """
    identity = _load(files, ssl.PROTOCOL_TLS_SERVER)
    identity.context.num_tickets = 0  # sessions are not resumed
    if files.clients is None:
        return identity
    try:
        return identity._replace(allowed=parse_clients(_read(files.clients).decode()))
    except ValueError as error:
        raise ValueError(f"{files.clients} can't be used: {error}") from None


def load_client(files: TlsFiles) -> TlsIdentity:
    """Return what a client needs, which checks the host in the server's certificate; see above."""
    return _load(files, ssl.PROTOCOL_TLS_CLIENT)


def _load(files: TlsFiles, protocol: ssl._SSLMethod) -> TlsIdentity:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    # Our CA is trusted by itself, also if another one has signed it, and nobody else is.
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    ca_pem = _read(files.ca)
    ca = _certificate(ca_pem, files.ca)
    context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    own = _certificate(_read(files.certificate), files.certificate)
    with closing(open_private(files.key)) as key:
        try:  # by the descriptor, so that it is the file that was checked
            context.load_cert_chain(
                files.certificate, f"/proc/self/fd/{key.fileno()}", _no_password
            )
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).lower().replace("_", " ")
            if error.reason == "KEY_VALUES_MISMATCH":
                reason = "the key doesn't belong to the certificate"
            raise ValueError(f"{files.certificate} and {files.key}: {reason}") from None
        except ValueError as error:
            raise ValueError(f"{files.key} can't be used: {error}") from None
    return TlsIdentity(context, own, ca)


def _no_password() -> str:
    """Keep OpenSSL from asking for one on the terminal."""
    raise ValueError("it has a password, which nobody could type when a service starts")


def _certificate(pem: bytes, file: str) -> Certificate:
    try:
        text = pem.decode("ascii")
        start = text.index(ssl.PEM_HEADER)
        end = text.index(ssl.PEM_FOOTER, start) + len(ssl.PEM_FOOTER)
        return read_certificate(ssl.PEM_cert_to_DER_cert(text[start:end]))
    except ValueError as error:
        raise ValueError(f"{file} has no usable certificate: {error}") from None


def _read(file: str) -> bytes:
    with Path(file).open("rb") as stream:
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"{file} has more than {_LARGEST} bytes")
    return content
