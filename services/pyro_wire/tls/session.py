"""One TLS connection as bytes in and bytes out, without a socket.

It fits any loop, and is as fast as `ssl.SSLSocket`. TLS 1.3 is assumed: there is no renegotiation,
and what a client is refused for arrives only after its own handshake has ended.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Final

from pyro_wire.tls.certificate import Certificate, read_certificate
from pyro_wire.tls.errors import peer_chain

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_BYTE: Final = b"\x16"
"""Of every TLS connection: a record with a handshake (RFC 8446, 5.1)."""
ALERT: Final = b"\x15"
"""The first byte of what a server of TLS answers who doesn't speak it."""
TLS_ONLY: Final = "only clients with TLS are accepted here"
"""Why name servers and objects refuse clients without TLS, where it is required."""
NOT_HERE: Final = bytes.fromhex("15 0303 0002 02 0a")
"""A fatal alert, `unexpected_message`, for a peer that has begun TLS where there is none."""
UNAVAILABLE: Final = bytes.fromhex("15 0303 0002 02 50")
"""A fatal alert, `internal_error`, for a peer that has begun TLS and can't be served."""
_RECORD: Final = 16 << 10


class TlsSession:
    """TLS between `MemoryBIO`s. For one thread at a time: OpenSSL crashes with two.

    Every method may raise ssl.SSLError; then `pending` has the alert for the other side, and the
    session is unusable.
    """

    __slots__ = ("_incoming", "_outgoing", "_tls", "closed")

    def __init__(self, context: ssl.SSLContext, *, host: str | None = None) -> None:
        """Prepare a session of a server, or of a client that wants to reach `host`."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=context.protocol == ssl.PROTOCOL_TLS_SERVER,
            server_hostname=host,
        )
        self.closed = False
        """Whether the other side has said that it sends no more (close_notify)."""

    def handshake(self, received: bytes = b"") -> bool:
        """Continue the handshake with what has arrived; return whether it is done.

        In either case send what `pending` returns. What the other side has sent behind its
        handshake comes out of the next `feed`, which may be one of nothing.
        """
        self._incoming.write(received)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def feed(self, received: bytes) -> bytes:
        """Return what the ciphertext that has arrived says, as far as it is complete.

        Afterwards `pending` may have an answer, such as new keys.
        """
        self._incoming.write(received)
        read, more, parts = self._tls.read, self._tls.pending, []
        try:
            while part := read(_RECORD):
                parts.append(part)
                if not self._incoming.pending and not more():
                    break  # rather than by an exception, which costs as much as the rest
            else:
                self.closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # when we had ended before
            self.closed = True
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def seal(self, data: bytes | bytearray | memoryview) -> bytes:
        """Return the ciphertext of `data`, behind what was pending."""
        write, size = self._tls.write, len(data)
        sealed = write(data) if data else 0
        while sealed < size:
            sealed += write(memoryview(data)[sealed:])
        return self._outgoing.read()

    def pending(self) -> bytes:
        """Return what has to be sent now, and forget it."""
        return self._outgoing.read()

    def end(self) -> bytes:
        """Return the last bytes to send, which say that no more come."""
        with contextlib.suppress(ssl.SSLError):  # it waits for the other side's, or has failed
            self._tls.unwrap()
        return self._outgoing.read()

    @property
    def peer(self) -> Certificate | None:
        """The other side's certificate, once the handshake is done."""
        der = self._tls.getpeercert(binary_form=True)
        return read_certificate(der) if der else None

    @property
    def chain(self) -> Sequence[Certificate]:
        """What the other side has sent, its own certificate first, even if it was refused."""
        return peer_chain(self._tls)
