"""A Pyro5 daemon that clients can't freeze by silence, and that ends when it is told to.

An established connection is never closed for being idle, unless that is configured, because a
stock proxy would learn of it only by an error at its next call. What is bounded is the time until
a connection has introduced itself.
"""

from __future__ import annotations

import logging
import ssl
import time
import uuid
from typing import TYPE_CHECKING, Any

from Pyro5 import config, socketutil
from Pyro5.errors import ConnectionClosedError
from Pyro5.server import Daemon
from Pyro5.svr_threads import SocketServer_Threadpool

from pyro_host.address import advertised
from pyro_host.errors import CannotServe
from pyro_host.transport import MultiplexTransport, ThreadTransport

if TYPE_CHECKING:
    import socket

HANDSHAKE_PATIENCE = 5.0
"""Seconds for a new client to introduce itself, TLS included."""

DENIAL_PATIENCE = 0.5
"""Seconds for one that is too many: Pyro5 turns it away in the thread that accepts."""

STOP_PATIENCE = 2.0
"""Seconds for calls that are being answered when the daemon stops."""

PROBE = "pyro_host: who are you?"
"""A handshake that is answered by the daemon's incarnation; see `names`."""

_log = logging.getLogger("pyro_host")


class HostDaemon(Daemon):  # type: ignore[misc] # Pyro5 ships no types
    """Serves on a socket that already listens, which it owns.

    Server type, pool size, limits and TLS are those of Pyro5's configuration. `run` belongs to the
    main thread, `stop` to another. Raises CannotServe for certificates that can't be used.
    """

    def __init__(
        self, listener: socket.socket, host: str, nathost: str | None, natport: int | None
    ) -> None:
        self.listener = listener
        self.advertised = advertised(listener, host)
        self.incarnation = uuid.uuid4().hex
        self.refused = 0
        """Connections turned away because there were too many."""
        self._stopping = False
        self._tls = _server_context() if config.SSL else None
        super().__init__(host, nathost=nathost, natport=(natport or 0) if nathost else None)

    @property
    def transportServer(self) -> Any:  # noqa: N802 - Pyro5's attribute
        """The server that accepts clients."""
        return self._transport

    @transportServer.setter
    def transportServer(self, server: Any) -> None:  # noqa: N802
        """Put ours in the place of the one that Pyro5 has chosen."""
        if isinstance(server, SocketServer_Threadpool):
            self._transport: Any = ThreadTransport()
        elif server is not None:
            self._transport = MultiplexTransport()
        else:
            self._transport = None

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        transport = self._transport
        return transport.connections if transport is not None else 0

    def keep_single(self, found: Any, single: Any) -> None:
        """Take the one instance of a class with instance mode `single`; None is no instance."""
        if single is not None:
            self._pyroInstances[found] = single

    def run(self) -> None:
        """Serve in this thread until `stop`."""
        self.requestLoop(lambda: not self._stopping)

    def stop(self) -> None:
        """Take no more calls; `run` returns as soon as it is not in the middle of one."""
        self._stopping = True
        self._transport.waker.wake()

    def finish(self) -> bool:
        """Wait a while for calls that are being answered, and close; False if some were cut off.

        For the thread of `run`, after it. Pyro5's own `shutdown` waits 0.1 s for every connected
        client, and leaves it connected.
        """
        deadline = time.monotonic() + STOP_PATIENCE
        self._transport.hang_up()
        while threads := isinstance(self._transport, ThreadTransport) and self.connections:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
            self._transport.hang_up()
        self.close()
        return not threads

    def validateHandshake(self, conn: Any, data: Any) -> Any:  # noqa: ARG002, N802 - Pyro5's hook
        """Tell ourselves, who may ask under another name, who this is."""
        return self.incarnation if data == PROBE else "hello"

    def handleRequest(self, conn: Any) -> None:  # noqa: N802 - Pyro5's hook
        """Answer one call; a method that calls `sys.exit` ends its connection and not the service.

        In Pyro5 it would end the thread for good, without giving its place in the pool back.
        """
        try:
            super().handleRequest(conn)
        except SystemExit as error:
            _log.warning("a method called sys.exit(%s): its client is hung up on", error.code)
            raise ConnectionClosedError("the method called sys.exit") from None

    def _handshake(self, conn: Any, denied_reason: str | None = None) -> bool:
        """Bound Pyro5's handshake in time, and begin TLS; called by Pyro5 for new connections."""
        timeout = conn.gettimeout()
        if denied_reason:
            self.refused += 1
        conn.settimeout(DENIAL_PATIENCE if denied_reason else HANDSHAKE_PATIENCE)
        try:
            if self._tls is not None:
                conn.sock = self._tls.wrap_socket(conn.sock, server_side=True)
            accepted: bool = super()._handshake(conn, denied_reason)
            conn.settimeout(timeout)
        except OSError as error:  # it left, or its TLS isn't ours
            _log.debug("a client could not be greeted: %s", error)
            return False
        except Exception:  # noqa: BLE001 - Pyro5's loop would end with it
            _log.exception("a client could not be greeted")
            return False
        return accepted


def _server_context() -> Any:
    try:
        return socketutil.get_ssl_context(
            servercert=config.SSL_SERVERCERT,
            serverkey=config.SSL_SERVERKEY,
            keypassword=config.SSL_SERVERKEYPASSWD,
            cacerts=config.SSL_CACERTS,
        )
    except (OSError, ssl.SSLError, ValueError) as error:
        files = [config.SSL_SERVERCERT, config.SSL_SERVERKEY, config.SSL_CACERTS]
        raise CannotServe(
            f"TLS can't be used with {', '.join(filter(None, files))}: {error}", permanent=True
        ) from None
