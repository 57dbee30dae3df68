"""The listening socket: accepts connections up to a limit, and tells the others why not."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_events._broker.net.address import UnixSocket
from pyro_events._broker.net.loop import READ
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted
from pyro_events._protocol.decode_limits import LimitReached

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from pyro_events._broker.net.loop import Loop
    from pyro_events._broker.rejections import RejectionCounters
    from pyro_events._broker.settings import Settings
    from pyro_events._broker.snapshot.transfer import SnapshotReader

_AT_ONCE = 64
_PAUSE = 0.5
"""Seconds without accepting after the system has run out of descriptors."""
_EXTRA = 100
"""Connections beyond the limit that are told why they are refused."""

_log = logging.getLogger("pyro_events")


class Listener(Snapshotted):
    """Accepts on a listening socket, which it owns.

    `accepted` gets the socket, the peer's address, and why it is refused, or None.
    """

    SNAPSHOT: ClassVar = Fields(
        init=("_sock",),
        _sock=FieldCodec(
            lambda sock, writer: (writer.descriptor(sock.fileno()), isinstance(sock, UnixSocket))
        ),
    )
    TRANSIENT: ClassVar = (
        "_loop", "_settings", "_rejections", "_accepted",
        "_peers", "connections",  # each restored session is counted
        "closed",  # then there is no handover
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        settings: Settings,
        rejections: RejectionCounters,
        accepted: Callable[[socket.socket, str | None, LimitReached | None], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._settings = settings
        self._rejections = rejections
        self._accepted = accepted
        self._peers: Counter[str | None] = Counter()
        self.connections = 0
        self.closed = False
        loop.watch(sock, READ, self._ready)

    def own(self) -> None:
        """When the socket is closed, remove its file, if it has one."""
        if isinstance(self._sock, UnixSocket):
            self._sock.own()

    def relinquish(self) -> None:
        """Leave the socket, and its file if it has one, to the process that received it."""
        if isinstance(self._sock, UnixSocket):
            self._sock.disown()
        self.close()

    def disinherit(self) -> None:
        """Leave the socket's file, if it has one, to the parent of this forked child."""
        if isinstance(self._sock, UnixSocket):
            self._sock.disown()

    def enter(self, peer: str | None) -> None:
        """Count a connection of that peer."""
        self.connections += 1
        self._peers[peer] += 1

    def leave(self, peer: str | None) -> None:
        """Count a connection of that peer as gone."""
        self.connections -= 1
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]

    def close(self) -> None:
        """Accept no more connections."""
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
                self._rejections.count(refusal)
                if self.connections >= self._settings.max_connections + _EXTRA:
                    sock.close()
                    continue
            self.enter(peer)
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
                f"{peer or 'the Unix socket'} has its {limit} connections to the event service "
                "(max_connections_per_peer)",
            )
        return None

    def _rest(self, error: OSError) -> None:
        _log.error("can't accept connections for the moment: %s", error.strerror or error)
        self._loop.unwatch(self._sock)

        def again() -> None:
            if not self.closed:
                self._loop.watch(self._sock, READ, self._ready)

        self._loop.call_later(_PAUSE, again)


def passed_listener(values: Mapping[str, Any], reader: SnapshotReader) -> socket.socket:
    """Return the socket that another process's listener has passed on."""
    number, has_file = values["_sock"]
    sock = reader.socket(number)
    return UnixSocket(sock.getsockname(), 0, sock.detach()) if has_file else sock
