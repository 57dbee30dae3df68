"""The HTTP server: uvicorn's protocol on the manager's socket, with limits of its own."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from pyroctl.web.security.headers import with_security

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pyroctl.core.options.page import WebTlsSpec

    Malformed = Callable[[str, str], None]
HEAD_TIMEOUT = 10.0
"""Seconds that a client has for the head of a request."""
LONGEST_HEAD = 16 << 10
KEEP_ALIVE = 15
MOST_CONNECTIONS = 256
"""Then one that has not sent a request makes room, or else the new one is closed."""
END_TIMEOUT = 1.0
"""Seconds for answers in progress when the page stops."""


class LimitedProtocol(H11Protocol):
    """One connection; closed if the head of its request does not come in time."""

    _waiting: asyncio.TimerHandle | None = None

    def __init__(self, config: Config, state: ServerState, on_malformed: Malformed) -> None:
        super().__init__(config, state, {})
        self._on_malformed = on_malformed

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request, if there is room."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS and not self._make_room():
            transport.abort()
            return
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            if self._waiting is None:
                self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what can't be read, with the headers of all answers."""
        peer = f"{self.client[0]}:{self.client[1]}" if self.client else "the socket"
        self._on_malformed(msg, peer)
        head = [(b"content-type", b"text/plain"), (b"connection", b"close")]
        parts = (
            h11.Response(status_code=400, headers=with_security(head)),
            h11.Data(data=b"this is not HTTP\n"),
            h11.EndOfMessage(),
        )
        self.transport.write(b"".join(self.conn.send(part) or b"" for part in parts))
        self.transport.close()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request."""
        return self._waiting is not None or self.timeout_keep_alive_task is not None

    def _make_room(self) -> bool:
        """Close a connection without a request; return whether there was one."""
        for other in self.connections:
            if isinstance(other, LimitedProtocol) and other is not self and other.is_idle:
                other.transport.abort()
                return True
        return False

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_TIMEOUT, self._too_late)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_late(self) -> None:
        self._waiting = None
        self.transport.abort()


class PageServer:
    """Serves an application on a socket that listens already. For the event loop's thread.

    `on_malformed` gets what is wrong with a request that can't be read, and where it came from.
    """

    def __init__(self, app: Any, tls: WebTlsSpec | None, on_malformed: Malformed) -> None:
        self._config = Config(
            app,
            loop="none",
            http=LimitedProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            h11_max_incomplete_event_size=LONGEST_HEAD,
        )
        self._config.load()
        self._state = ServerState()
        self._on_malformed = on_malformed
        self._tls = _context(tls) if tls is not None else None
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._state.connections)

    async def start(self, sock: socket.socket) -> None:
        """Begin to serve."""
        loop = asyncio.get_running_loop()
        timeout = None if self._tls is None else HEAD_TIMEOUT
        self._server = await loop.create_server(
            self._protocol, sock=sock, ssl=self._tls, ssl_handshake_timeout=timeout
        )

    async def stop(self) -> None:
        """Accept no more, let answers in progress end, and close all connections."""
        assert self._server is not None
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=END_TIMEOUT)
        for connection in list(self._state.connections):
            connection.transport.abort()
        for task in list(self._state.tasks):
            task.cancel()

    def _protocol(self) -> LimitedProtocol:
        return LimitedProtocol(self._config, self._state, self._on_malformed)


def _context(tls: WebTlsSpec) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.cert, tls.key)
    return context
