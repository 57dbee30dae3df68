"""The listening socket."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_events._broker.net.address import UnixSocket
from pyro_events._broker.net.loop import READ
from pyro_events._broker.net.socket_owner import plain_address
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from pyro_events._broker.net.loop import Loop
    from pyro_events._broker.snapshot.transfer import SnapshotReader

_AT_ONCE = 8
"""Connections in one turn: each costs a fifth of a millisecond."""
_PAUSE = 0.5
"""Seconds without accepting after a failure that turning clients away doesn't help."""

_log = logging.getLogger("pyro_events")


class Listener(Snapshotted):
    """Accepts on a listening socket, which it owns.

    `accepted` gets the socket, and the peer's address unless it is a Unix socket. When there are no
    more descriptors, one that is held in reserve serves to tell a client so: `turned_away` gets the
    same, and has to close the socket.
    """

    SNAPSHOT: ClassVar = Fields(
        init=("_sock",),
        _sock=FieldCodec(
            lambda sock, writer: (writer.descriptor(sock.fileno()), isinstance(sock, UnixSocket))
        ),
    )
    TRANSIENT: ClassVar = (
        "_loop", "_accepted", "_turned_away",
        "_reserve",  # each process has one
        "closed",  # then there is no handover
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        accepted: Callable[[socket.socket, str | None], None],
        turned_away: Callable[[socket.socket, str | None], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._accepted = accepted
        self._turned_away = turned_away
        self._reserve: int | None = None
        self._take_reserve()
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

    def close(self) -> None:
        """Accept no more connections."""
        if not self.closed:
            self.closed = True
            self._loop.unwatch(self._sock)
            self._sock.close()
            self._give_reserve()

    def _ready(self, _mask: int) -> None:
        for _ in range(_AT_ONCE):
            if self.closed:
                return
            try:
                accepted = self._accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or self._reserve is None:
                    self._rest(error)
                    return
                if not self._turn_away():
                    return
            else:
                self._accepted(*accepted)

    def _accept(self) -> tuple[socket.socket, str | None]:
        sock, address = self._sock.accept()
        return sock, plain_address(address[0]) if isinstance(address, tuple) else None

    def _turn_away(self) -> bool:
        """Accept a client in the place of the reserve; return False if there is none."""
        self._give_reserve()
        try:
            self._turned_away(*self._accept())
        except OSError:  # none is waiting, which accept(2) doesn't look for without descriptors
            return False
        finally:
            self._take_reserve()
        return True

    def _take_reserve(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _give_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

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
