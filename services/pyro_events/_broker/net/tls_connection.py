"""A connection whose bytes are encrypted, from the first one of its TLS handshake on."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from pyro_events._broker.net.connection import ConnectionOwner, ServerConnection

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from pyro_events._broker.net.handshakes import Handshakes
    from pyro_events._broker.net.loop import Loop
    from pyro_wire.tls.certificate import Certificate
    from pyro_wire.tls.files import TlsIdentity
    from pyro_wire.tls.session import TlsSession

_AT_ONCE: Final = 128 << 10
"""Bytes that are encrypted at a time, so that no more wait for a peer that reads slowly."""
_UNSENT: Final = 1 << 20
"""Encrypted bytes that may wait: only a peer that asks for new keys again and again has more."""


class TlsOwner(ConnectionOwner, Protocol):
    """What a TLS connection works for."""

    @property
    def origin(self) -> str:
        """The address, which takes turns with others."""

    def on_secured(self, peer: Certificate) -> None:
        """Note whose certificate OpenSSL has accepted."""

    def on_insecure(self, reason: str) -> None:
        """Note that there was no TLS connection; it will be closed."""


class CalledOwner(TlsOwner, Protocol):
    """What a TLS connection works for whose peer we have called."""

    def end_tls(self) -> None:
        """End the connection, and make another one."""


class TlsConnection(ServerConnection):
    """Does the handshake, whose steps are calculated by a thread, and then encrypts.

    It is not handed over: its keys can't leave the process.
    """

    __slots__ = (
        "_handshakes", "_host", "_identity", "_peer", "_sealed", "_secure", "_shaking", "_tls",
    )  # fmt: skip

    TRANSIENT: ClassVar = (*ServerConnection.TRANSIENT, *__slots__)

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        max_size: int,
        owner: TlsOwner,
        *,
        identity: Callable[[], TlsIdentity],
        handshakes: Handshakes,
        received: bytes,
        host: str | None = None,
    ) -> None:
        """Begin with the bytes that were `received`; `identity` is called by the thread.

        A client names the `host` that it wants to reach.
        """
        self._peer = owner
        self._host = host
        self._identity = identity
        self._handshakes = handshakes
        self._tls: TlsSession
        self._sealed: bytes | memoryview = b""
        """What is encrypted and not sent yet; it comes before everything else."""
        self._secure = False
        self._shaking = True
        """Whether the thread has the session."""
        super().__init__(loop, sock, max_size, owner, configured=True)
        self._shake(received, first=True)

    # The handshake

    def _shake(self, received: bytes, *, first: bool = False) -> None:
        self._shaking = True
        self._watch()
        self._handshakes.run(
            self._peer.origin, lambda: self._step(received, first=first), urgent=not first
        )

    def _step(self, received: bytes, *, first: bool) -> Callable[[], None]:
        """Take a step in the thread; return how the loop continues."""
        if self.closed:
            return lambda: None
        identity = self._identity()
        if first:
            self._tls = identity.session(self._host)
        tls = self._tls
        try:
            done = tls.handshake(received)
            peer = tls.peer if done else None
            data = tls.feed(b"") if done else b""
        except (OSError, ValueError) as error:
            failure = error if isinstance(error, OSError) else OSError(str(error))
            reason, alert = identity.explain(failure, tls.chain, self._host), tls.pending()
            return lambda: self._fail(reason, alert)
        answer = tls.pending()
        if peer is None:
            return lambda: self._answer(answer)
        return lambda: self._secured(peer, answer, data)

    def _answer(self, answer: bytes) -> None:
        self._shaking = False
        if not self.closed:
            self._sealed = answer
            self._push()
            self._watch()

    def _secured(self, peer: Certificate, answer: bytes, data: bytes) -> None:
        self._secure = True
        self._answer(answer)
        if not self.closed:
            self._peer.on_secured(peer)
            self.reader.feed(data)  # the client may have said more than its handshake
            self._process()

    def _fail(self, reason: str, alert: bytes) -> None:
        if self.closed:
            return
        self._peer.on_insecure(reason)
        self._answer(alert)
        super().finish(reason)

    # Bytes

    def _arrived(self, data: bytes) -> None:
        if not self._secure:
            self._shake(data)
            return
        try:
            plain = self._tls.feed(data)
        except ssl.SSLError as error:
            self.close(f"TLS failed: {(error.reason or str(error)).lower().replace('_', ' ')}")
            return
        answer = self._tls.pending()
        if answer:
            self._sealed = b"".join((self._sealed, answer))
            self._push()
            if len(self._sealed) > _UNSENT:
                self.close("it asks for new keys, and doesn't read")
        if plain:
            self.reader.feed(plain)
            self._process()
        if self._tls.closed:
            self.close(self.finishing or "closed by the peer")

    def _write(self, buffers: Sequence[bytes | memoryview]) -> int:
        if self._sealed and not self._push():
            return 0
        data = buffers[0] if len(buffers) == 1 else _joined(buffers)
        data = data if len(data) <= _AT_ONCE else memoryview(data)[:_AT_ONCE]
        try:
            self._sealed = self._tls.seal(data)
        except ssl.SSLError as error:
            self.close(f"TLS failed: {error.reason}")
            return 0
        self._push()
        return len(data)

    def _push(self) -> bool:
        """Send what is encrypted; return whether the system has all of it."""
        if self._sealed and not self.closed:
            sent = super()._write((self._sealed,))
            if sent < len(self._sealed):
                self._sealed = memoryview(self._sealed)[sent:]
                if not self.closed:
                    self._blocked = True
                    self._watch()
                return False
            self._sealed = b""
        return not self.closed

    def _flush(self) -> None:
        if self._push():
            super()._flush()
            if self._sealed and not self.closed:
                self._blocked = True
                self._watch()

    def _end_sending(self) -> None:
        if self._secure:
            self._secure = False
            self._sealed = b"".join((self._sealed, self._tls.end()))
            self._push()
        if not self._sealed:
            super()._end_sending()

    def _watch(self) -> None:
        if not self._shaking:
            super()._watch()
        elif self._mask:
            self._loop.unwatch(self._sock)
            self._mask = 0


def _joined(buffers: Sequence[bytes | memoryview]) -> bytes:
    """Return the first buffers in one piece, as many as are encrypted at a time."""
    size, count = 0, 0
    while count < len(buffers) and size < _AT_ONCE:
        size += len(buffers[count])
        count += 1
    return b"".join(buffers[:count])
