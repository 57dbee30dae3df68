"""Listening sockets that the manager holds for its services.

They are bound before a service's first start and outlive its processes: over a restart, a crash and
a back-off. Nobody is refused meanwhile; who connects waits in the backlog for the next process.
A process finds its socket as descriptor 3, announced by LISTEN_FDS as in sd_listen_fds(3).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroctl.kinds import TcpAddress, UnixAddress
from pyroctl.manager.process import port_owner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.kinds import ListenAddress

log = logging.getLogger(__name__)

BACKLOG = 4096
"""How many connections may wait while no process takes them; the system may allow fewer."""
LOOK_UP_PATIENCE = 2.0
"""Seconds that the name of a host may take; the manager does nothing else meanwhile."""
FIRST_FD = 3
"""The first descriptor of sd_listen_fds(3)."""


class AddressRefused(Exception):
    """A service can't listen there; the text says why and what to do about it.

    `permanent`: trying again would not help.
    """

    def __init__(self, text: str, *, permanent: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent


class HeldSocket:
    """A listening socket of one service, open until `close`.

    `owner`, a user and a group id, gets the file of a Unix socket; -1 leaves one as it is. Raises
    AddressRefused. The host's name is looked up, which blocks for a moment. `fd` is the socket if
    another manager has bound it.
    """

    def __init__(
        self, address: ListenAddress, owner: tuple[int, int] = (-1, -1), fd: int | None = None
    ) -> None:
        self.address = address
        self._file: tuple[int, int] | None = None
        try:
            if fd is not None:
                self._socket = socket.socket(fileno=fd)
                self._file = _identity(address.path) if isinstance(address, UnixAddress) else None
            elif isinstance(address, UnixAddress):
                self._socket = _bind_path(address, owner)
                self._file = _identity(address.path)
            else:
                self._socket = _bind_port(address)
        except (OSError, ValueError) as error:  # the latter: a name that can't be one
            raise _refusal(address, error) from None

    def fileno(self) -> int:
        """Give the descriptor, for the process to inherit."""
        return self._socket.fileno()

    def close(self) -> None:
        """Listen no longer; the file of a Unix socket goes, unless it is somebody else's by now."""
        self._socket.close()
        file, self._file = self._file, None
        if file is not None and isinstance(self.address, UnixAddress):
            path = self.address.path
            if _identity(path) == file:
                with contextlib.suppress(OSError):  # the disk has become read-only
                    os.unlink(path)


class LentSocket:
    """A listening socket that our own manager, such as systemd, holds for a service of ours.

    Raises OSError if the descriptor is none.
    """

    def __init__(self, fd: int) -> None:
        with socket.socket(fileno=os.dup(fd)) as sock:
            if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise OSError(errno.EINVAL, "it doesn't listen")
        os.set_inheritable(fd, False)
        self._fd = fd

    def fileno(self) -> int:
        """Give the descriptor, for the process to inherit."""
        return self._fd


def lent_sockets(environ: Mapping[str, str], pid: int) -> dict[str, LentSocket]:
    """Give the sockets that were passed to this process, by their names (LISTEN_FDNAMES).

    What doesn't listen is logged and left out.
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
            log.warning("descriptor %d of LISTEN_FDS, for %s, is of no use: %s", fd, name, error)
    return found


def _bind_port(address: TcpAddress) -> socket.socket:
    found = _look_up(address.host.strip("[]"), address.port)
    # Pyro5's clients prefer IPv4 where a name has both (PREFER_IP_VERSION).
    family, kind, proto, _, where = min(found, key=lambda info: info[0] != socket.AF_INET)
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        return _listen(sock)
    except BaseException:
        sock.close()
        raise


def _look_up(host: str, port: int) -> list[Any]:
    """Give the addresses of a host; a network that is down must not stop the manager for long."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    with contextlib.suppress(socket.gaierror):
        return look_up(flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST)
    answer: Future[list[Any]] = Future()

    def work() -> None:
        try:
            answer.set_result(look_up(flags=socket.AI_PASSIVE))
        except (OSError, ValueError) as error:
            answer.set_exception(error)

    threading.Thread(target=work, name=f"look up {host}", daemon=True).start()
    return answer.result(LOOK_UP_PATIENCE)


def _bind_path(address: UnixAddress, owner: tuple[int, int]) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_abandoned(address.path):
            os.unlink(address.path)
        sock.bind(address.path)
        if owner != (-1, -1):
            os.chown(address.path, *owner)
        os.chmod(address.path, address.mode)
        return _listen(sock)  # only now can anybody connect
    except BaseException:
        sock.close()
        raise


def _listen(sock: socket.socket) -> socket.socket:
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


def _is_abandoned(path: str) -> bool:
    """Tell whether it is a socket where nobody listens."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog is somebody, too
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _refusal(address: ListenAddress, error: OSError | ValueError) -> AddressRefused:
    other = "another port" if isinstance(address, TcpAddress) else "another path"
    number = None if isinstance(error, socket.gaierror) else getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        owner = "another program"
        if isinstance(address, TcpAddress):
            owner = port_owner.describe(address.port)
        return AddressRefused(
            f"{address} is taken by {owner}; stop what listens there, or choose {other}"
        )
    if number in {errno.EACCES, errno.EPERM}:
        where = "a port from 1024 on" if isinstance(address, TcpAddress) else other
        return AddressRefused(
            f"{address} needs more rights than the manager has; choose {where}", permanent=True
        )
    if isinstance(address, TcpAddress):
        why = getattr(error, "strerror", None) or str(error) or "its name isn't found in time"
        return AddressRefused(
            f"cannot listen on {address}: {why}; is the host a name or address of this machine?"
        )
    if number == errno.ENOENT:
        return AddressRefused(
            f"cannot listen on {address}: its directory doesn't exist; make it first, one that"
            " others may not write to",
            permanent=True,
        )
    return AddressRefused(
        f"cannot listen on {address}: {getattr(error, 'strerror', None) or error}; choose another"
        " path, of at most 100 characters",
        permanent=True,
    )
