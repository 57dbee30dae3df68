"""Calls to one Pyro object by hand, with a deadline, whatever Pyro5 is configured to.

A proxy does what Pyro5's configuration says for the whole process. That is the user's object's
business: it may use TLS where the name server doesn't, or another serializer.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Self

from Pyro5 import config, protocol, socketutil
from Pyro5.errors import ProtocolError, PyroError
from Pyro5.serializers import SerpentSerializer

if TYPE_CHECKING:
    from Pyro5.core import URI

_LARGEST_ANSWER = 1 << 20


class ConnectRefused(Exception):
    """Somebody is there but doesn't want to talk, as a daemon without the object; says why."""


class RawProxy:
    """A connection to a Pyro object; OSError or PyroError when nobody answers in time.

    `patience` in seconds is for everything together. Raises Refused.
    """

    def __init__(self, uri: URI, patience: float, handshake: str = "hello") -> None:
        self._object = uri.object
        self._deadline = time.monotonic() + patience
        self._serializer = SerpentSerializer()
        self._sock = _connect(uri, patience)
        try:
            self.greeting = self._greet(handshake)
            """What the daemon answered to the handshake."""
        except (ConnectionError, ProtocolError) as error:
            self._sock.close()
            raise ConnectRefused(
                f"what listens there speaks no Pyro, or only with TLS ({error})"
            ) from None
        except BaseException:
            self._sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def call(self, method: str, *args: object, **kwargs: object) -> Any:
        """Call a method; raises what it raised, if that is an error of Pyro5, or Refused."""
        data = self._serializer.dumpsCall(self._object, method, args, kwargs)
        answer = self._exchange(protocol.MSG_INVOKE, data, protocol.MSG_RESULT)
        result = self._serializer.loads(answer.data)
        if answer.flags & protocol.FLAGS_EXCEPTION:
            raise result if isinstance(result, PyroError) else ConnectRefused(str(result))
        return result

    def _greet(self, handshake: str) -> Any:
        data = self._serializer.dumps({"handshake": handshake, "object": self._object})
        answer = self._exchange(
            protocol.MSG_CONNECT, data, protocol.MSG_CONNECTOK, protocol.MSG_CONNECTFAIL
        )
        found = self._serializer.loads(answer.data)
        if answer.type == protocol.MSG_CONNECTFAIL:
            raise ConnectRefused(str(found))
        return found["handshake"]

    def _exchange(self, kind: int, data: bytes, *expected: int) -> Any:
        number = self._serializer.serializer_id
        message = protocol.SendingMessage(kind, 0, 0, number, data)
        self._sock.settimeout(self._left())
        self._sock.sendall(message.data)
        answer = protocol.recv_stub(self, expected)
        if answer.serializer_id != number:
            raise ConnectRefused("it answers in another serializer")
        return answer

    def recv(self, size: int) -> bytes:
        """Receive exactly so much, before the deadline; for Pyro5's `recv_stub`."""
        if size > _LARGEST_ANSWER:
            raise PyroError(f"an answer of {size} bytes")
        data = bytearray()
        while len(data) < size:
            self._sock.settimeout(self._left())
            part = self._sock.recv(size - len(data))
            if not part:
                raise ConnectionError("closed without an answer")
            data += part
        return bytes(data)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left


def _connect(uri: URI, patience: float) -> socket.socket:
    """Connect, with TLS where this process uses it and the other side does."""
    if not config.SSL:
        return _connect_plainly(uri, patience)
    context = socketutil.get_ssl_context(
        clientcert=config.SSL_CLIENTCERT,
        clientkey=config.SSL_CLIENTKEY,
        keypassword=config.SSL_CLIENTKEYPASSWD,
        cacerts=config.SSL_CACERTS,
    )
    sock = _connect_plainly(uri, patience)
    try:
        return context.wrap_socket(sock, server_hostname=uri.host)  # type: ignore[no-any-return] # Pyro5 ships no types
    except ssl.SSLCertVerificationError as error:
        sock.close()
        raise ConnectRefused(f"its certificate is not trusted ({error.verify_message})") from None
    except (ssl.SSLError, ConnectionError):
        sock.close()
        return _connect_plainly(uri, patience)


def _connect_plainly(uri: URI, patience: float) -> socket.socket:
    if uri.sockname is None:
        return socket.create_connection((uri.host, uri.port), patience)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(patience)
        sock.connect(uri.sockname)
    except OSError:
        sock.close()
        raise
    return sock
