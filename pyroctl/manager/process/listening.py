"""Listening sockets that the manager holds for its services.

They are bound before a service's first start and outlive its processes: over a restart, a crash and
a backoff. So no connection is refused; it waits in the backlog for the next process. A process
finds its socket as descriptor 3, announced by LISTEN_FDS as in sd_listen_fds(3).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from typing import TYPE_CHECKING

from pyroctl.kinds.address import UnixAddress
from pyroctl.manager.process.bind import bind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.kinds.address import ListenAddress

log = logging.getLogger(__name__)

FIRST_FD = 3
"""The first descriptor of sd_listen_fds(3)."""


class HeldSocket:
    """A listening socket of one service, open until `close`.

    `owner` as for `bind`. Raises AddressRefused. `fd` is the socket if another manager has bound
    it.
    """

    def __init__(
        self, address: ListenAddress, owner: tuple[int, int] = (-1, -1), fd: int | None = None
    ) -> None:
        self.address = address
        self._socket = bind(address, owner) if fd is None else socket.socket(fileno=fd)
        self._file = _identity(address.path) if isinstance(address, UnixAddress) else None

    def fileno(self) -> int:
        """Return the descriptor, for a process to inherit."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop listening, and remove the file of a Unix socket unless it was replaced."""
        self._socket.close()
        file, self._file = self._file, None
        if file is not None and isinstance(self.address, UnixAddress):
            path = self.address.path
            if _identity(path) == file:
                with contextlib.suppress(OSError):  # the disk has become read-only
                    os.unlink(path)


class LentSocket:
    """A listening socket that the manager's own manager, such as systemd, holds for a service.

    Raises OSError if the descriptor is not a listening socket.
    """

    def __init__(self, fd: int) -> None:
        with socket.socket(fileno=os.dup(fd)) as sock:
            if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise OSError(errno.EINVAL, "it doesn't listen")
        os.set_inheritable(fd, False)
        self._fd = fd

    def fileno(self) -> int:
        """Return the descriptor, for a process to inherit."""
        return self._fd


def lent_sockets(environ: Mapping[str, str], pid: int) -> dict[str, LentSocket]:
    """Return the sockets that were passed to this process, by name (LISTEN_FDNAMES).

    Log and leave out what doesn't listen.
    """
    if environ.get("LISTEN_PID") != str(pid) or not environ.get("LISTEN_FDS", "").isdecimal():
        return {}
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    fds = range(FIRST_FD, FIRST_FD + int(environ["LISTEN_FDS"]))
    found = {}
    for fd, name in zip(fds, names, strict=False):
        try:
            found[name] = LentSocket(fd)
        except OSError as error:
            log.warning("descriptor %d of LISTEN_FDS, for %s, is unusable: %s", fd, name, error)
    return found


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
