"""The listening socket: takes connections while there is room, and refuses the others kindly."""

from __future__ import annotations

import errno
import logging
import socket
from collections import Counter
from typing import TYPE_CHECKING

from pyro_events.engine.faults import AddressUnusable
from pyro_events.engine.loop import READ
from pyro_events.engine.refusals import LimitReached

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events.engine.loop import Loop
    from pyro_events.engine.refusals import Refusals
    from pyro_events.engine.settings import Settings

_BACKLOG = 512
_AT_ONCE = 64
_PAUSE = 0.5
"""Seconds without accepting after the system ran out of descriptors."""
_EXTRA = 100
"""Connections beyond the limit that are told why they are refused."""

_log = logging.getLogger("pyro_events")


def bind(host: str, port: int) -> socket.socket:
    """Give a socket that listens there; raises AddressUnusable, which says what is wrong."""
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise AddressUnusable(
            f"the host {host!r} is unknown: {error}",
            hint="give a name or address of this machine, such as localhost or 0.0.0.0",
        ) from None
    # Pyro5's clients prefer IPv4 where a name has both (PREFER_IP_VERSION), so we do, too.
    family, kind, proto, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _unusable(host, port, error) from None
    return sock


def _unusable(host: str, port: int, error: OSError) -> AddressUnusable:
    if error.errno == errno.EADDRINUSE:
        return AddressUnusable(
            f"port {port} on {host} is in use: another program listens there",
            hint="stop it, choose another port with -p PORT, or any free one with -p 0",
        )
    if error.errno == errno.EACCES:
        return AddressUnusable(
            f"port {port} on {host} needs more rights than this process has",
            hint="choose a port above 1023, or any free one with -p 0",
        )
    return AddressUnusable(
        f"can't listen on {host} port {port}: {error.strerror or error}",
        hint="give a name or address of this machine, such as localhost or 0.0.0.0",
    )


class Listener:
    """Accepts on a listening socket, which it owns.

    `accepted` gets the socket, the peer's address, and why it is refused, or None.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        settings: Settings,
        refusals: Refusals,
        accepted: Callable[[socket.socket, str | None, LimitReached | None], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._settings = settings
        self._refusals = refusals
        self._accepted = accepted
        self._peers: Counter[str | None] = Counter()
        self.connections = 0
        self.closed = False
        loop.watch(sock, READ, self._ready)

    def leave(self, peer: str | None) -> None:
        """Count a connection of that peer as gone."""
        self.connections -= 1
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]

    def close(self) -> None:
        """Take no more connections."""
        if not self.closed:
            self.closed = True
            self._loop.unwatch(self._sock)
            self._sock.close()

    def _ready(self, _mask: int) -> None:
        for _ in range(_AT_ONCE):
            if self.closed:
                return
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                self._rest(error)
                return
            peer = address[0].removeprefix("::ffff:") if isinstance(address, tuple) else None
            refusal = self._refusal(peer)
            if refusal is not None:
                self._refusals.count(refusal)
                if self.connections >= self._settings.max_connections + _EXTRA:
                    sock.close()
                    continue
            self.connections += 1
            self._peers[peer] += 1
            self._accepted(sock, peer, refusal)

    def _refusal(self, peer: str | None) -> LimitReached | None:
        limit = self._settings.max_connections
        if self.connections >= limit:
            return LimitReached(
                "max_connections",
                f"the event service has its {limit} connections (max_connections)",
            )
        limit = self._settings.max_connections_per_peer
        if self._peers[peer] >= limit:
            return LimitReached(
                "max_connections_per_peer",
                f"{peer or 'this machine'} has its {limit} connections to the event service "
                "(max_connections_per_peer)",
            )
        return None

    def _rest(self, error: OSError) -> None:
        _log.error("can't take more connections for the moment: %s", error.strerror or error)
        self._loop.unwatch(self._sock)

        def again() -> None:
            if not self.closed:
                self._loop.watch(self._sock, READ, self._ready)

        self._loop.call_later(_PAUSE, again)
