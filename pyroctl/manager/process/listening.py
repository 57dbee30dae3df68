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
"""How many connections may wait while no process accepts them; the system may allow fewer."""
LOOKUP_TIMEOUT = 2.0
"""Seconds that looking up a host may take; it blocks the manager."""
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

    `owner`, a user and a group id, gets the socket and its file; -1 changes nothing. `fd` is the
    socket if another manager has bound it. Raises AddressRefused; looking up a host blocks.
    """

    def __init__(
        self, address: ListenAddress, owner: tuple[int, int] = (-1, -1), fd: int | None = None
    ) -> None:
        self.address = address
        self._socket = _bind(address, owner) if fd is None else socket.socket(fileno=fd)
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


def lent_sockets(environ: Mapping[str, str], pid: int) -> dict[str, int]:
    """Return the sockets that were passed to this process, by name (LISTEN_FDNAMES).

    The manager's own manager, such as systemd, holds them for services. Log and leave out what
    doesn't listen.
    """
    if environ.get("LISTEN_PID") != str(pid) or not environ.get("LISTEN_FDS", "").isdecimal():
        return {}
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    fds = range(FIRST_FD, FIRST_FD + int(environ["LISTEN_FDS"]))
    found = {}
    for fd, name in zip(fds, names, strict=False):
        try:
            _check_listens(fd)
        except OSError as error:
            log.warning("descriptor %d of LISTEN_FDS, for %s, is unusable: %s", fd, name, error)
        else:
            os.set_inheritable(fd, False)
            found[name] = fd
    return found


def _check_listens(fd: int) -> None:
    with socket.socket(fileno=os.dup(fd)) as sock:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(errno.EINVAL, "it doesn't listen")


def _bind(address: ListenAddress, owner: tuple[int, int]) -> socket.socket:
    try:
        if isinstance(address, UnixAddress):
            return _bind_path(address, owner)
        return _bind_port(address, owner)
    except (OSError, ValueError) as error:  # the latter: a malformed host
        raise _refusal(address, error) from None


def _bind_port(address: TcpAddress, owner: tuple[int, int]) -> socket.socket:
    found = _look_up(address.host.strip("[]"), address.port)
    # Pyro5's clients prefer IPv4 where a name has both (PREFER_IP_VERSION).
    family, kind, proto, _, where = min(found, key=lambda info: info[0] != socket.AF_INET)
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(where)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not address.or_any:
                raise
            sock.bind((where[0], 0, *where[2:]))
        os.fchown(sock.fileno(), *owner)  # for the event service it is the user's who is called
        return _listen(sock)
    except BaseException:
        sock.close()
        raise


def _look_up(host: str, port: int) -> list[Any]:
    """Return the addresses of a host; a broken network must not block the manager for long."""
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
    return answer.result(LOOKUP_TIMEOUT)


def _bind_path(address: UnixAddress, owner: tuple[int, int]) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_abandoned(address.path):
            os.unlink(address.path)
        sock.bind(address.path)
        if owner != (-1, -1):
            os.chown(address.path, *owner)
        os.chmod(address.path, address.mode)
        return _listen(sock)  # only now clients can connect
    except BaseException:
        sock.close()
        raise


def _listen(sock: socket.socket) -> socket.socket:
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


def _is_abandoned(path: str) -> bool:
    """Return whether it is a socket without a listener."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog has a listener, too
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _refusal(address: ListenAddress, error: OSError | ValueError) -> AddressRefused:
    other = "another port" if isinstance(address, TcpAddress) else "another path"
    number = None if isinstance(error, socket.gaierror) else getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        owner = "another program"
        if isinstance(address, TcpAddress):
            owner = port_owner.describe(address.port)
            other = f"another port: {address.remedy}"
        return AddressRefused(
            f"{address} is taken by {owner}; stop that program, or choose {other}"
        )
    if number in {errno.EACCES, errno.EPERM}:
        where = "a port from 1024 on" if isinstance(address, TcpAddress) else other
        return AddressRefused(
            f"the manager has no permission to listen on {address}; choose {where}", permanent=True
        )
    if isinstance(address, TcpAddress):
        why = getattr(error, "strerror", None) or str(error) or "the host lookup timed out"
        return AddressRefused(
            f"cannot listen on {address}: {why}; is the host a name or address of this machine?"
        )
    if number == errno.ENOENT:
        return AddressRefused(
            f"cannot listen on {address}: its directory doesn't exist; create one that"
            " others can't write to",
            permanent=True,
        )
    return AddressRefused(
        f"cannot listen on {address}: {getattr(error, 'strerror', None) or error}; choose another"
        " path, of at most 100 characters",
        permanent=True,
    )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
