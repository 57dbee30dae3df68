"""A stock proxy's connection over TLS with files of its own.

Pyro5 decides by settings of the whole process, so it has no say here until the connection exists.
"""

# ruff: noqa: SLF001 - the names of Pyro5's own interface begin with an underscore

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Any

from Pyro5 import config
from Pyro5.errors import CommunicationError, ProtocolError
from Pyro5.serializers import serializers
from Pyro5.socketutil import SocketConnection

from pyro_wire import framing
from pyro_wire.client import connect
from pyro_wire.messages import ConnectRefused, UnexpectedAnswer, decode_welcome, encode_connect
from pyro_wire.tls.errors import peer_chain

if TYPE_CHECKING:
    from Pyro5.core import URI

    from pyro_wire.tls.files import TlsIdentity

_CHUNK = 1 << 16


def bind(proxy: Any, uri: URI, identity: TlsIdentity, seconds: float) -> None:
    """Connect the proxy of a PYRO: URI, in place of `_pyroBind`. Raises CommunicationError.

    Each of its steps may take as many seconds.
    """
    try:
        sock = connect(uri, seconds)
    except OSError as error:
        raise CommunicationError(f"cannot connect to {uri.location}: {error}") from error
    tls = identity.context.wrap_socket(
        sock, server_hostname=uri.host, do_handshake_on_connect=False
    )
    number = serializers[proxy._pyroSerializer or config.SERIALIZER].serializer_id
    try:
        tls.do_handshake()
        answer = _exchange(tls, encode_connect(uri.object, proxy._pyroHandshake, number))
        proxy._pyroGetMetadata(known_metadata=decode_welcome(answer)["meta"])
    except OSError as error:
        reason = identity.explain(error, peer_chain(tls), uri.host)
        tls.close()
        raise CommunicationError(f"no TLS connection with {uri.location}: {reason}") from error
    except (ConnectRefused, UnexpectedAnswer, ProtocolError, KeyError) as error:
        tls.close()
        raise CommunicationError(f"connection to {uri.location} rejected: {error}") from error
    except BaseException:
        tls.close()
        raise
    proxy._pyroConnection = SocketConnection(tls, uri.object)
    proxy._pyroLocalSocket = tls.getsockname()


def _exchange(tls: ssl.SSLSocket, request: bytes) -> framing.Frame:
    reader = framing.FrameReader(config.MAX_MESSAGE_SIZE)
    with contextlib.suppress(ssl.SSLEOFError, ConnectionError):  # the reason can still be read
        tls.sendall(request)
    while (frame := reader.next_frame()) is None:
        data = tls.recv(_CHUNK)
        if not data:
            raise ConnectionError("closed without an answer")
        reader.feed(data)
    return frame
