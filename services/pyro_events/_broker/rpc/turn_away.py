"""Telling a client at once why it can't be served, without a session."""

from __future__ import annotations

import contextlib
import socket
from typing import Final

from Pyro5.errors import ProtocolError

from pyro_events._broker.rpc import calls
from pyro_wire import framing
from pyro_wire.framing import Frame, FrameReader
from pyro_wire.tls.session import FIRST_BYTE, UNAVAILABLE

_CHUNK: Final = 1 << 16
_UNKNOWN: Final = Frame(framing.CONNECT, framing.SERPENT, 0, 0, b"", b"")
"""Stands for a handshake that has not arrived: every client understands serpent."""


def turn_away(sock: socket.socket, reason: str) -> None:
    """Answer the handshake with the reason, as far as that is possible now, and close the socket.

    A client that has begun TLS gets an alert, which has no room for a reason.
    What the client has sent is read first, or closing would reset the connection before it has read
    the answer.
    """
    with sock, contextlib.suppress(OSError):
        sock.setblocking(False)
        request = _UNKNOWN
        with contextlib.suppress(BlockingIOError, ProtocolError):
            reader = FrameReader(_CHUNK)
            received = sock.recv(_CHUNK)
            if received.startswith(FIRST_BYTE):
                sock.send(UNAVAILABLE)
                sock.shutdown(socket.SHUT_WR)
                return
            reader.feed(received)
            request = reader.next_frame() or request
        sock.send(calls.encode_connect(request, framing.CONNECTFAIL, reason))
        sock.shutdown(socket.SHUT_WR)
