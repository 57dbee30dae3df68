"""A Pyro5 daemon with a name server that clients can't block, and that stops quickly.

An idle connection is never closed, because a stock proxy would notice only by an error in its
next call. Only the time until the handshake is bounded; TCP keep-alive finds vanished peers.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from Pyro5.core import NAMESERVER_NAME
from Pyro5.server import Daemon

from pyro_wire.address import host_port
from pyro_wire.daemon_limits import limited_handshake
from pyro_wire.names_key import NamesKey
from pyro_wire.tls.door import TlsDoor, stop_reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from Pyro5.nameserver import NameServer

HANDSHAKE_TIMEOUT = 5.0
"""Seconds for the handshake of a new client."""

DENIAL_TIMEOUT = 0.5
"""Seconds to refuse a client over the limit, which Pyro5 does in the thread that accepts."""

STOP_TIMEOUT = 0.4
"""Seconds for calls in progress when the daemon stops."""

KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 60),
    (socket.TCP_KEEPINTVL, 20),
    (socket.TCP_KEEPCNT, 3),
)

_log = logging.getLogger("pyro_names.daemon")


class NameDaemon(Daemon):  # type: ignore[misc] # Pyro5 ships no types
    """Serves one name server on one address.

    Raises OSError if the address can't be used. `inherited` is a socket that already listens
    there. `died` is called in the daemon's thread if its loop ends without `stop`.
    """

    def __init__(
        self,
        nameserver: NameServer,
        address: tuple[str, int],
        nat: tuple[str, int] | None,
        died: Callable[[], None],
        inherited: socket.socket | None = None,
        tls: TlsDoor | None = None,
    ) -> None:
        nathost, natport = nat or (None, None)
        own = address if inherited is None else ("127.0.0.1", 0)
        super().__init__(*own, nathost=nathost, natport=natport)
        if inherited is not None:
            self._serve_on(inherited, address[0])
            if nat is not None:
                port = natport or inherited.getsockname()[1]
                self.natLocationStr = f"{nathost}:{port}"
        self._died = died
        self._key = NamesKey(os.environ)
        self.tls = tls
        """Begins TLS, if it is served."""
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="accept", daemon=True)
        self.refused = 0
        """Connections refused because there were too many."""
        if not self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            self.close()  # Pyro5 overlooks that listen() failed
            raise OSError(errno.EADDRINUSE, "another program began to listen there")
        self._waking, self._wake = os.pipe()
        self.transportServer._selector.register(  # noqa: SLF001 - Pyro5 has no other way to wake it
            self._waking, selectors.EVENT_READ
        )
        self.sock.setblocking(False)  # accepting without a client must not block
        for option, value in KEEPALIVE:  # accepted connections inherit it
            self.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        self.register(nameserver, NAMESERVER_NAME)

    def _serve_on(self, sock: socket.socket, host: str) -> None:
        """Serve on this socket instead of Pyro5's own; URIs have `host` as it was written."""
        server = self.transportServer
        server._selector.unregister(server.sock)  # noqa: SLF001 - Pyro5 has no other way
        server.sock.close()
        server.sock, server._socketaddr = sock, sock.getsockname()  # noqa: SLF001 - the same
        server._selector.register(sock, selectors.EVENT_READ, server)  # noqa: SLF001 - the same
        server.locationStr = self.locationStr = host_port(host, sock.getsockname()[1])

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.transportServer.pool.busy)

    def start(self) -> None:
        """Serve in a thread of its own, until `stop`."""
        self._thread.start()

    def _serve(self) -> None:
        try:
            self.requestLoop(lambda: not self._stopping)
        except Exception:  # noqa: BLE001 - whatever it is, the service has ended
            _log.exception("the name server's loop failed")
        if not self._stopping:
            self._died()

    def _handshake(self, conn: Any, denied_reason: str | None = None) -> bool:
        """Limit the time of Pyro5's handshake; called by Pyro5 for each new connection."""
        timeout = conn.gettimeout()
        conn.settimeout(DENIAL_TIMEOUT if denied_reason else HANDSHAKE_TIMEOUT)
        if denied_reason:
            self.refused += 1
            with limited_handshake(conn), contextlib.suppress(Exception):
                self._begin_tls(conn)
                super()._handshake(conn, denied_reason)  # Pyro5's loop would end with an exception
            return False
        with limited_handshake(conn):
            try:
                refusal = self._begin_tls(conn)
            except OSError as error:  # it has left, or its TLS doesn't fit
                _log.debug("the handshake of a client failed: %s", error)
                return False
            accepted: bool = super()._handshake(conn, refusal)
        conn.settimeout(timeout)
        return accepted

    def validateHandshake(self, conn: Any, data: object) -> str:  # noqa: N802 - Pyro5's name
        """Accept every client, and note whether it is a service of our manager."""
        conn.is_ours = self._key.is_ours(data, conn.sock.getsockname())
        return "hello"

    def _begin_tls(self, conn: Any) -> str | None:
        return self.tls.open(conn) if self.tls is not None else None

    def stop(self) -> None:
        """Stop within a second; calls in progress have `STOP_TIMEOUT` to finish.

        Pyro5's `shutdown` waits 0.1 s for each connected client, and leaves it connected.
        """
        self._stopping = True
        os.write(self._wake, b"\0")  # the socket may be shared, so it can't be shut down
        deadline = time.monotonic() + STOP_TIMEOUT
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT)
        pool = self.transportServer.pool
        while pool.busy and time.monotonic() < deadline:
            for worker in list(pool.busy):
                if (job := worker.job) is not None:
                    with contextlib.suppress(OSError):
                        stop_reading(job.csock.sock)  # its worker ends after this call
            time.sleep(0.01)
        pool.busy.clear()  # Pyro5 would wait for each; they are daemon threads
        self.close()
        os.close(self._wake)
        os.close(self._waking)
