"""Bare connections for idle subscribers: what a client library needs isn't the broker's cost."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PATIENCE = 10.0


def open_idle(
    port: int, requests: Iterable[bytes], answered: Callable[[bytes], bool]
) -> list[socket.socket]:
    """Open a connection for each request, send it, and wait until it is answered."""
    sockets: list[socket.socket] = []
    for request in requests:
        sock = socket.create_connection(("127.0.0.1", port), _PATIENCE)
        sock.sendall(request)
        answer = b""
        while not answered(answer):
            chunk = sock.recv(65536)
            if not chunk:
                raise RuntimeError(
                    f"the broker closed connection {len(sockets) + 1}: {answer!r:.200}"
                )
            answer += chunk
        sockets.append(sock)
    return sockets
