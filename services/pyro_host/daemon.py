"""A Pyro5 daemon that silent clients can't block, and that stops when told to.

An idle connection is never closed, unless so configured, because a stock proxy would notice only
by an error in its next call. Only the time until the handshake is bounded.
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

from pyro_child import CannotServe
from pyro_host.address import advertised
from pyro_host.force_exit import exit_code, force_exit
from pyro_host.transport import MultiplexTransport, ThreadTransport
from pyro_wire.daemon_limits import limited_handshake

if TYPE_CHECKING:
    import socket

    from pyro_wire.tls.door import TlsDoor

HANDSHAKE_TIMEOUT = 5.0
"""Seconds for the handshake of a new client, TLS included."""

DENIAL_TIMEOUT = 0.5
"""Seconds to refuse a client over the limit, which Pyro5 does in the thread that accepts."""

STOP_TIMEOUT = 2.0
"""Seconds for calls in progress when the daemon stops."""

PROBE = "pyro_host: who are you?"
"""The handshake of a probe; see `pyro_wire.registration`."""

_log = logging.getLogger("pyro_host")


class HostDaemon(Daemon):  # type: ignore[misc] # Pyro5 ships no types
    """Serves on a socket that already listens, and owns it.

    Server type, pool size and limits follow Pyro5's configuration, and so does TLS without `tls`.
    `run` belongs to the main thread, `stop` to another. Raises CannotServe for unusable
    certificates.
    """

    def __init__(
        self,
        listener: socket.socket,
        host: str,
        nathost: str | None,
        natport: int | None,
        tls: TlsDoor | None = None,
    ) -> None:
        self.listener = listener
        self.advertised = advertised(listener, host)
        self.incarnation = uuid.uuid4().hex
        self.refused = 0
        """Connections refused because there were too many."""
        self._stopping = False
        self._forked = False
        self.tls = tls
        """Begins TLS, if clients may use it."""
        self._context = _server_context() if config.SSL else None
        super().__init__(host, nathost=nathost, natport=(natport or 0) if nathost else None)

    @property
    def transportServer(self) -> Any:  # noqa: N802 - Pyro5's attribute
        """The server that accepts clients."""
        return self._transport

    @transportServer.setter
    def transportServer(self, server: Any) -> None:  # noqa: N802
        """Replace the server that Pyro5 has chosen by ours."""
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
        """Use this one instance for a class with instance mode `single`, unless it is None."""
        if single is not None:
            self._pyroInstances[found] = single

    def run(self) -> None:
        """Serve in this thread until `stop`."""
        self.requestLoop(lambda: not self._stopping)

    def stop(self) -> None:
        """Accept no more calls; `run` returns when the call in progress has ended."""
        self._stopping = True
        self._transport.waker.wake()

    def finish(self) -> bool:
        """Close, after `STOP_TIMEOUT` at most; return whether no call in progress was cut off.

        For the thread of `run`, after it. Pyro5's own `shutdown` waits 0.1 s for each connected
        client, and leaves it connected.
        """
        deadline = time.monotonic() + STOP_TIMEOUT
        self._transport.disconnect_clients()
        while threads := isinstance(self._transport, ThreadTransport) and self.connections:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
            self._transport.disconnect_clients()
        self.close()
        return not threads

    def abandon(self) -> None:
        """Leave the address and all clients to the parent; for a forked child."""
        self._forked = True
        self._transport.abandon()

    def validateHandshake(self, conn: Any, data: Any) -> Any:  # noqa: N802 - Pyro5's hook
        """Answer a probe with the incarnation: a name may lead to this daemon by another URI.

        A daemon class of the user's own decides first who may connect.
        """
        answer = super().validateHandshake(conn, data)
        return {"incarnation": self.incarnation} if data == PROBE else answer

    def handleRequest(self, conn: Any) -> None:  # noqa: N802 - Pyro5's hook
        """Answer one call; a method that calls `sys.exit` ends its connection, not the service.

        In Pyro5 it would end the thread without freeing its place in the pool. A process that the
        method has forked ends when it returns: the client gets one answer, that of the service.
        """
        try:
            super().handleRequest(conn)
        except SystemExit as error:
            if self._forked:
                force_exit(exit_code(error))
            _log.warning("a method called sys.exit(%s): disconnecting its client", error.code)
            raise ConnectionClosedError("the method called sys.exit") from None
        finally:
            if self._forked:
                force_exit(0)

    def _handshake(self, conn: Any, denied_reason: str | None = None) -> bool:
        """Limit the time of Pyro5's handshake, and begin TLS; called for each new connection."""
        timeout = conn.gettimeout()
        if denied_reason:
            self.refused += 1
        conn.settimeout(DENIAL_TIMEOUT if denied_reason else HANDSHAKE_TIMEOUT)
        try:
            if self._context is not None:
                conn.sock = self._context.wrap_socket(conn.sock, server_side=True)
            elif self.tls is not None:
                denied_reason = self.tls.open(conn) or denied_reason
            with limited_handshake(conn):
                accepted: bool = super()._handshake(conn, denied_reason)
            conn.settimeout(timeout)
        except OSError as error:  # it disconnected, or its TLS doesn't fit
            _log.debug("the handshake of a client failed: %s", error)
            return False
        except Exception:  # noqa: BLE001 - Pyro5's loop would end with it
            _log.exception("the handshake of a client failed")
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
            f"can't use TLS with {', '.join(filter(None, files))}: {error}", permanent=True
        ) from None
