"""Where clients come in: the address of the service, and a socket for those on its machine.

Publishers that wait for each answer come in by the second one, which is cheaper than TCP: its name
is offered to helpers that have come in over TCP. It is abstract (see unix(7)), so that no file is
left behind, however the process ends; nobody can guess it, and it is as open as TCP on loopback is,
to all users of the machine, of whom the kernel says who they are.
"""

from __future__ import annotations

import logging
import secrets
import socket
from typing import TYPE_CHECKING, ClassVar

from pyro_events._broker.net.address import bind
from pyro_events._broker.net.listener import Listener, passed_listener
from pyro_events._broker.snapshot.fields import Fields, Snapshotted

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.net.loop import Loop
    from pyro_events._broker.settings import Settings
    from pyro_events._broker.snapshot.transfer import SnapshotReader

_BACKLOG = 512
_ABSTRACT = "\0"

_log = logging.getLogger("pyro_events")


class Listeners(Snapshotted):
    """Owns one or two listening sockets; the arguments are those of a Listener."""

    SNAPSHOT: ClassVar = Fields(init=("_main", "_local"))
    TRANSIENT: ClassVar = ("local_name",)  # it follows from the socket

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        local: socket.socket | None,
        accepted: Callable[[socket.socket, str | None], None],
        turned_away: Callable[[socket.socket, str | None], None],
    ) -> None:
        self._main = Listener(loop, sock, accepted, turned_away)
        self._local = None if local is None else Listener(loop, local, accepted, turned_away)
        self.local_name = None if local is None else local.getsockname().decode()[1:]
        """The abstract name of the socket for helpers on this machine, if there is one."""

    def own(self) -> None:
        """When the sockets are closed, remove their files, if they have any."""
        self._main.own()

    def relinquish(self) -> None:
        """Leave the sockets to the process that received them."""
        self._main.relinquish()
        if self._local is not None:
            self._local.relinquish()

    def disinherit(self) -> None:
        """Leave the sockets' files, if they have any, to the parent of this forked child."""
        self._main.disinherit()

    def close(self) -> None:
        """Accept no more connections."""
        self._main.close()
        if self._local is not None:
            self._local.close()


def open_sockets(
    host: str,
    port: int,
    settings: Settings,
    listening: socket.socket | None,
    passed: tuple[socket.socket, socket.socket | None] | None,
) -> tuple[socket.socket, socket.socket | None]:
    """Return the socket to listen on, and one for helpers on this machine if that is wanted.

    `listening`, or else what another process has passed on, takes the place of one of our own.
    Raises AddressUnusable.
    """
    main, local = passed or (None, None)
    if listening is not None and main is not None:
        main.close()
    sock = listening or main or bind(host, port, settings.socket_mode)
    sock.setblocking(False)
    wanted = not (sock.family == socket.AF_UNIX or settings.tcp_only or settings.tls == "required")
    if local is not None and not wanted:
        local.close()
    return sock, (local or _bind_local()) if wanted else None


def _bind_local() -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(f"{_ABSTRACT}pyro-events-{secrets.token_hex(16)}")
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        _log.info("no socket for helpers on this machine: %s", error.strerror or error)
        sock.close()
        return None
    return sock


def passed_listeners(reader: SnapshotReader) -> tuple[socket.socket, socket.socket | None]:
    """Return the sockets that another process has passed on."""
    values = reader.values["engine"]["_listeners"]
    local = values["_local"]
    passed = None if local is None else passed_listener(local, reader)
    return passed_listener(values["_main"], reader), passed
