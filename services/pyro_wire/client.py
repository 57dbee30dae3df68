"""A blocking Pyro client for a few calls to one object, with one deadline for all of them.

A Pyro5 proxy follows the configuration of the whole process. That belongs to the user's object,
which may use TLS where the name server doesn't, or another serializer; a `Client` speaks serpent,
and falls back from TLS to plain connections, unless it is given `tls`.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Self

from Pyro5 import config, socketutil
from Pyro5.errors import ProtocolError, PyroError

from pyro_wire.framing import CONNECTFAIL, SERPENT, Frame, FrameReader
from pyro_wire.messages import (
    UnexpectedAnswer,
    decode_connect,
    decode_result,
    encode_call,
    encode_connect,
)

if TYPE_CHECKING:
    from Pyro5.core import URI

    from pyro_wire.tls.pinned import PinnedTls

LARGEST_ANSWER = 1 << 20
"""Bytes."""
_CHUNK = 1 << 16


class NotPyro(PyroError):  # type: ignore[misc] # Pyro5 ships no types
    """Something listens at the address, but doesn't speak Pyro, or only over TLS."""


class Client:
    """A connection to the object of a PYRO: URI, for one thread.

    Connecting, the handshake and all calls together take at most `timeout` seconds; `deadline`
    (by time.monotonic) may be moved. Raises OSError if nothing answers in time, ConnectRefused,
    NotPyro, UnexpectedAnswer, and any PyroError that the object raises. A `handshake` that depends
    on the connection is a function of its socket.
    """

    def __init__(
        self, uri: URI, timeout: float, handshake: object = "hello", tls: PinnedTls | None = None
    ) -> None:
        self.deadline = time.monotonic() + timeout
        self._object = uri.object
        self._reader = FrameReader(LARGEST_ANSWER)
        self._sock = (
            _connect_as_configured(uri, timeout) if tls is None else tls.wrap(connect(uri, timeout))
        )
        try:
            if callable(handshake):
                handshake = handshake(self._sock)
            answer = self._exchange(encode_connect(self._object, handshake))
            self.greeting: Any = decode_connect(answer)
            """The daemon's answer to the handshake."""
        except (ConnectionError, ProtocolError) as error:
            self.close()
            raise NotPyro(
                f"what listens there doesn't speak Pyro, or only over TLS ({error})"
            ) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def call(self, method: str, *args: object, **kwargs: object) -> Any:
        """Call a method and return its result."""
        return decode_result(self._exchange(encode_call(self._object, method, args, kwargs)))

    def _exchange(self, request: bytes) -> Frame:
        self._sock.settimeout(self._time_left())
        self._sock.sendall(request)
        while (frame := self._reader.next_frame()) is None:
            self._sock.settimeout(self._time_left())
            data = self._sock.recv(_CHUNK)
            if not data:
                raise ConnectionError("closed without an answer")
            self._reader.feed(data)
        if (
            frame.type != CONNECTFAIL and frame.serializer != SERPENT
        ):  # don't let a stranger choose the decoder
            raise UnexpectedAnswer("it answers in another serializer")
        return frame

    def _time_left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left


def connect(uri: URI, timeout: float) -> socket.socket:
    """Connect to the address of a PYRO: URI, within `timeout` seconds for each of its addresses.

    Raises OSError, also for a host, port or path that can't exist.
    """
    try:
        if uri.sockname is None:
            return socket.create_connection((uri.host, uri.port), timeout)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(timeout)
            sock.connect(uri.sockname)
        except BaseException:
            sock.close()
            raise
    except (ValueError, OverflowError) as error:
        raise OSError(f"{uri.location} is not a usable address: {error}") from None
    return sock


def _connect_as_configured(uri: URI, timeout: float) -> socket.socket:
    """Connect, with TLS if this process is configured for it and the peer speaks it."""
    if not config.SSL:
        return connect(uri, timeout)
    context = socketutil.get_ssl_context(
        clientcert=config.SSL_CLIENTCERT,
        clientkey=config.SSL_CLIENTKEY,
        keypassword=config.SSL_CLIENTKEYPASSWD,
        cacerts=config.SSL_CACERTS,
    )
    sock = connect(uri, timeout)
    try:
        return context.wrap_socket(sock, server_hostname=uri.host)  # type: ignore[no-any-return] # Pyro5 ships no types
    except ssl.SSLCertVerificationError as error:
        sock.close()
        raise UnexpectedAnswer(f"its certificate is not trusted ({error.verify_message})") from None
    except (ssl.SSLError, ConnectionError):
        sock.close()
        return connect(uri, timeout)
