"""A TLS connection between two sockets, with the files of `pyroctl certs`."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from pyro_wire.tls.certificate import Certificate, read_certificate
from pyro_wire.tls.errors import Known, explain, peer_chain

if TYPE_CHECKING:
    from pathlib import Path


class Side(NamedTuple):
    """What one side has seen: the other's certificate, or a sentence about what went wrong."""

    found: Certificate | None
    failure: str

    @property
    def peer(self) -> Certificate:
        assert self.found is not None, self.failure
        return self.found


def of_file(file: Path) -> Certificate:
    return read_certificate(ssl.PEM_cert_to_DER_cert(file.read_text()))


def connect(server: Path, client: Path | None, host: str) -> tuple[Side, Side]:
    """Return what server and client have seen; `client` None has no certificate.

    The client trusts the CA of the server's directory if it has none.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        found: list[Side] = []

        def serve() -> None:
            connection, _ = listener.accept()
            found.append(_side(connection, server, server_side=True))

        thread = threading.Thread(target=serve)
        thread.start()
        connection = socket.create_connection(listener.getsockname(), timeout=20)
        try:
            seen = _side(connection, client, host=host, trust=client or server)
        finally:
            thread.join()
    return found[0], seen


def _side(
    connection: socket.socket,
    folder: Path | None,
    *,
    server_side: bool = False,
    host: str | None = None,
    trust: Path | None = None,
) -> Side:
    protocol = ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT
    context = ssl.SSLContext(protocol)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    ca = trust or folder
    assert ca is not None
    context.load_verify_locations(ca / "ca.pem")
    if folder is not None:
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    own = of_file(folder / "cert.pem") if folder is not None else None
    connection.settimeout(20)
    tls = context.wrap_socket(
        connection, server_side=server_side, server_hostname=host, do_handshake_on_connect=False
    )
    with tls:
        try:
            tls.do_handshake()
            if server_side:  # of TLS 1.3 a client hears only afterwards that it is refused
                tls.sendall(b"x")
                tls.recv(1)
            else:
                tls.recv(1)
                tls.sendall(b"x")
        except OSError as error:
            known = Known(datetime.now(UTC), host, own, of_file(ca / "ca.pem"), peer_chain(tls))
            return Side(None, explain(error, known))
        der = tls.getpeercert(binary_form=True)
        assert der is not None
        return Side(read_certificate(der), "")
