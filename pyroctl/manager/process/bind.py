"""Binds listening sockets, and explains why one can't be bound."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroctl.kinds.address import TcpAddress, UnixAddress

if TYPE_CHECKING:
    from pyroctl.kinds.address import ListenAddress

BACKLOG = 4096
"""How many connections may wait while no process accepts them; the system may allow fewer."""
LOOKUP_TIMEOUT = 2.0
"""Seconds that looking up a host may take; the manager is blocked meanwhile."""


class AddressRefused(Exception):
    """A service can't listen there; the text says why and what to do about it.

    `permanent`: trying again would not help.
    """

    def __init__(self, text: str, *, permanent: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent


def bind(address: ListenAddress, owner: tuple[int, int]) -> socket.socket:
    """Return a socket that listens there; raise AddressRefused. Looking up a host blocks.

    `owner`, a user and a group id, gets the file of a Unix socket; -1 changes nothing.
    """
    try:
        if isinstance(address, UnixAddress):
            return _bind_path(address, owner)
        return _bind_port(address)
    except (OSError, ValueError) as error:  # the latter: a malformed host
        raise _refusal(address, error) from None


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
        return AddressRefused(
            f"{address} is taken by another program; stop that program, or choose {other}"
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
