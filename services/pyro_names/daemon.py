"""A Pyro5 daemon with a name server in it that clients can't freeze and that ends quickly.

An established connection is never closed for being idle, because a stock proxy would learn of it
only by an error at its next call. What is bounded is the time until a connection has introduced
itself; a peer that vanished is found by TCP keep-alive.
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

from pyro_child.inherited_socket import serve_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from Pyro5.nameserver import NameServer

HANDSHAKE_PATIENCE = 5.0
"""Seconds for a new client to introduce itself."""

DENIAL_PATIENCE = 0.5
"""Seconds for one that is too many: Pyro5 turns it away in the thread that accepts."""

STOP_PATIENCE = 0.4
"""Seconds for calls that are being answered when the daemon stops."""

KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 60),
    (socket.TCP_KEEPINTVL, 20),
    (socket.TCP_KEEPCNT, 3),
)

_log = logging.getLogger("pyro_names.daemon")


class NameDaemon(Daemon):  # type: ignore[misc] # Pyro5 ships no types
    """Serves one name server on one address.

    Raises OSError if the address can't be had. `inherited` is a socket that listens there already,
    held by whoever started us. `died` is called, in the daemon's thread, if it ends without `stop`.
    """

    def __init__(
        self,
        nameserver: NameServer,
        address: tuple[str, int],
        nat: tuple[str, int] | None,
        died: Callable[[], None],
        inherited: socket.socket | None = None,
    ) -> None:
        nathost, natport = nat or (None, None)
        own = address if inherited is None else ("127.0.0.1", 0)
        super().__init__(*own, nathost=nathost, natport=natport)
        if inherited is not None:
            serve_on(self, inherited, address[0])
            if nat is not None:
                port = natport or inherited.getsockname()[1]
                self.natLocationStr = f"{nathost}:{port}"
        self._died = died
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="accept", daemon=True)
        self.refused = 0
        """Connections turned away because there were too many."""
        if not self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            self.close()  # Pyro5 overlooks that listen() failed
            raise OSError(errno.EADDRINUSE, "somebody else began to listen there meanwhile")
        self._waking, self._wake = os.pipe()
        self.transportServer._selector.register(  # noqa: SLF001 - Pyro5 has no other way to wake it
            self._waking, selectors.EVENT_READ
        )
        self.sock.setblocking(False)  # accepting without a client must not block
        for option, value in KEEPALIVE:  # accepted connections inherit it
            self.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        self.register(nameserver, NAMESERVER_NAME)

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
        except Exception:  # noqa: BLE001 - whatever it is, nobody serves any more
            _log.exception("the name server's loop failed")
        if not self._stopping:
            self._died()

    def _handshake(self, conn: Any, denied_reason: str | None = None) -> bool:
        """Bound Pyro5's handshake in time; called by Pyro5 for every new connection."""
        timeout = conn.gettimeout()
        conn.settimeout(DENIAL_PATIENCE if denied_reason else HANDSHAKE_PATIENCE)
        if denied_reason:
            self.refused += 1
            with contextlib.suppress(Exception):  # Pyro5's loop would end with the exception
                super()._handshake(conn, denied_reason)
            return False
        accepted: bool = super()._handshake(conn)
        conn.settimeout(timeout)
        return accepted

    def stop(self) -> None:
        """Stop within a second; whatever is being answered may finish within `STOP_PATIENCE`.

        Pyro5's `shutdown` waits 0.1 s for every connected client, and leaves it connected.
        """
        self._stopping = True
        os.write(self._wake, b"\0")  # the socket may be shared, so it can't be shut down
        deadline = time.monotonic() + STOP_PATIENCE
        if self._thread.is_alive():
            self._thread.join(STOP_PATIENCE)
        pool = self.transportServer.pool
        while pool.busy and time.monotonic() < deadline:
            for worker in list(pool.busy):
                if (job := worker.job) is not None:
                    with contextlib.suppress(OSError):
                        job.csock.sock.shutdown(socket.SHUT_RD)  # its worker ends after this call
            time.sleep(0.01)
        pool.busy.clear()  # Pyro5 would wait for each; they are daemon threads
        self.close()
        os.close(self._wake)
        os.close(self._waking)
