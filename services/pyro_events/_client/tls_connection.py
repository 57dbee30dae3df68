"""A helper's connection over TLS."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from pyro_events._client.connection import Connection, ConnectionLost
from pyro_events.errors import EventServiceError, Refused
from pyro_wire.tls.errors import NOT_TLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from Pyro5.core import URI

    from pyro_events._client.waker import Waker
    from pyro_wire.tls.files import TlsIdentity


class NoTls(Refused):
    """The other side doesn't speak TLS."""


def open_connection(
    tls: TlsIdentity | None,
    uri: URI,
    waker: Waker,
    clock: Callable[[], float],
    deadline: float,
) -> Connection:
    """Connect as `Connection.open`, with TLS if there is an identity; not on a Unix socket."""
    if tls is None or uri.sockname:
        return Connection.open(uri, waker, clock, deadline)
    connection = TlsConnection.open(uri, waker, clock, deadline)
    connection.begin(tls, uri.host)
    return connection


class TlsConnection(Connection):
    """Encrypts what is written, and decrypts what arrives, under the lock of `write`.

    OpenSSL crashes when two threads use one session at once. Threads wait outside that lock.
    """

    def begin(self, identity: TlsIdentity, host: str) -> None:
        """Prepare TLS with the service at that host; `handshake` does the rest."""
        self._identity = identity
        self._host = host
        self._session = identity.session(host)
        self._secure = False
        """Whether our side of the TLS handshake is done."""
        self._known = False
        """Whether the other side has said anything since: before that, it may refuse us."""

    def handshake(self, target: str, data: Any, serializer_id: int, deadline: float) -> Any:
        """Do the handshake of TLS first; raises Refused with the reason if there is no TLS."""
        with self._lock:
            self._session.handshake()
            self._send_pending()
        while not self._secure:
            self._reader.feed(self._wait_for_bytes(deadline, self._waker.wait) or b"")
        return super().handshake(target, data, serializer_id, deadline)

    def _opened(self, chunk: bytes) -> bytes:
        session = self._session
        with self._lock:
            try:
                if not self._secure:
                    self._secure = session.handshake(chunk)
                    chunk = b""
                data = session.feed(chunk) if self._secure else b""
            except OSError as error:
                if error.errno is None:
                    raise  # a signal handler's
                failure = self._failed(error)
                self._send_pending()
                raise failure from None
            self._send_pending()
        self._known = self._known or bool(data)
        if session.closed and not data:
            raise ConnectionLost("the other side closed the connection")
        return data

    def _sealed(self, data: bytes) -> bytes:
        try:
            return self._session.seal(data)
        except ssl.SSLError as error:
            raise ConnectionLost(f"TLS failed: {error.reason}") from None

    def _send_pending(self) -> None:
        """Send what the session has to say; for a thread with the lock."""
        self._unsent += self._session.pending()
        self._send_unsent()

    def _failed(self, error: OSError) -> EventServiceError:
        reason = self._identity.explain(error, self._session.chain, self._host)
        if self._known or isinstance(error, ssl.SSLEOFError):
            return ConnectionLost(f"TLS failed: {reason}")
        kind = NoTls if reason == NOT_TLS else Refused
        return kind(f"no TLS connection: {reason}")
