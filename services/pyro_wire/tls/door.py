"""TLS for the daemons of Pyro5 in this process, beside plain connections at the same port.

Pyro5 begins TLS in the thread that accepts, with one context for the whole life of the process, and
decides by a setting of the process that also holds for its proxies. Here TLS begins in the thread
of the connection, with the certificate of the moment, and the first byte tells what the client
speaks.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from pyro_wire.tls.certificate import read_certificate
from pyro_wire.tls.errors import peer_chain
from pyro_wire.tls.files import TlsFiles
from pyro_wire.tls.reload import ReloadedIdentity
from pyro_wire.tls.session import FIRST_BYTE, TLS_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyro_wire.tls.certificate import Certificate
    from pyro_wire.tls.files import TlsIdentity

_SUMMARY: Final = 1.0
"""Seconds between lines in the log."""

_log = logging.getLogger("pyro_wire")


class TlsDoor:
    """Begins TLS on new connections, and ends those of removed clients. Any thread may call it."""

    def __init__(
        self,
        identity: ReloadedIdentity,
        *,
        required: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identity = identity
        self._required = required
        self._clock = clock
        self._lock = threading.Lock()
        self._logged_at = -_SUMMARY
        self._unlogged = 0
        self._seen = identity.latest
        self._connected: WeakKeyDictionary[ssl.SSLSocket, Certificate] = WeakKeyDictionary()
        self.refused = 0
        """Clients that were refused, or removed while they were connected."""

    def open(self, connection: Any) -> str | None:
        """Begin TLS on a connection of Pyro5's, if the client does; its time-out applies.

        Returns a sentence for a client that has to be refused, in Pyro's protocol. Raises OSError
        if it has left or TLS fails.
        """
        sock = connection.sock
        first = sock.recv(1, socket.MSG_PEEK)
        if first != FIRST_BYTE:
            if self._required and first:
                return self._refuse(sock, TLS_ONLY)
            return None
        identity = self.reload()
        tls = identity.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        connection.sock = tls
        try:
            tls.do_handshake()
        except ssl.SSLError as error:
            self._refuse(tls, identity.explain(error, peer_chain(tls)))
            raise
        der = tls.getpeercert(binary_form=True)
        peer = read_certificate(der) if der else None
        if peer is not None:
            with self._lock:
                self._connected[tls] = peer
        refusal = self._identity.latest.refusal(peer)  # not before `reload` can find the client
        return None if refusal is None else self._refuse(tls, refusal)

    def reload(self) -> TlsIdentity:
        """Read the files again if they were replaced, and disconnect clients that were removed."""
        identity = self._identity.current()
        with self._lock:
            changed, self._seen = identity is not self._seen, identity
            connected = list(self._connected.items()) if changed else []
        for tls, peer in connected:
            refusal = identity.refusal(peer)
            if refusal is not None and tls.fileno() >= 0:
                self._refuse(tls, refusal)
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(tls, socket.SHUT_RDWR)  # its thread notices
        return identity

    def _refuse(self, sock: socket.socket, reason: str) -> str:
        with self._lock:
            self.refused += 1
            self._unlogged += 1
            now = self._clock()
            if now - self._logged_at >= _SUMMARY:
                count, self._unlogged, self._logged_at = self._unlogged, 0, now
                more = "" if count == 1 else f" ({count} refusals since the last line)"
                try:
                    peer = sock.getpeername()[0]
                except OSError:
                    peer = "a client that has left"
                _log.warning("refused %s: %s%s", peer, reason, more)
        return reason


def files_of(options: Any, host: str, environ: Mapping[str, str]) -> TlsFiles:
    """Return the files of a service at `host` with `TlsOptions`, of `pyro_child.options`.

    Raises ValueError if there is no certificate.
    """
    return TlsFiles.chosen(
        *(options.tls_certificate, options.tls_key, options.tls_ca, options.tls_clients),
        host=host,
        environ=environ,
    )


def identity_of(options: Any, host: str, environ: Mapping[str, str]) -> ReloadedIdentity | None:
    """Return the identity of a service, None without TLS; raises OSError or ValueError."""
    if options.tls == "off":
        return None
    return ReloadedIdentity(files_of(options, host, environ))


def door_of(options: Any, environ: Mapping[str, str]) -> TlsDoor | None:
    """Return what begins TLS for a service, None without TLS; raises as `identity_of`."""
    identity = identity_of(options, options.host, environ)
    return None if identity is None else TlsDoor(identity, required=options.tls == "required")


def stop_reading(sock: socket.socket) -> None:
    """Make the thread that reads from a socket see its end; its answer can still be sent.

    `shutdown` of an `SSLSocket` would send that answer without TLS. Raises OSError.
    """
    socket.socket.shutdown(sock, socket.SHUT_RD)
