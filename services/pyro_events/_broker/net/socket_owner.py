"""Which user has a socket of this machine: the kernel tells, one request for one socket.

A request of sock_diag(7) takes microseconds, needs no rights and never waits. Where that is not
possible (another system, a sandbox without netlink), nothing is known.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from typing import Final

_SOCK_DIAG: Final = 4  # NETLINK_SOCK_DIAG (linux/netlink.h)
_BY_FAMILY: Final = 20  # SOCK_DIAG_BY_FAMILY (linux/sock_diag.h)
_ERROR: Final = 2  # NLMSG_ERROR
_REQUEST: Final = 1  # NLM_F_REQUEST
_ANY: Final = 0xFFFFFFFF
"""Any state; no cookie."""
_HEADER: Final = struct.Struct("=IHHII")
_QUESTION: Final = struct.Struct("=BB2xI4s16s16sIII")
"""inet_diag_req_v2 (linux/inet_diag.h)"""
_PORTS: Final = struct.Struct("!HH")
_ANSWER: Final = struct.Struct("=64xII")
"""inet_diag_msg: of this, only the user and the inode are needed."""
_ESTABLISHED: Final = 1  # TCP_ESTABLISHED (net/tcp_states.h)
_CREDENTIALS: Final = struct.Struct("3i")

Endpoint = tuple[str, int]


class NoListener(Exception):
    """No process listens there."""


class PeerGone(Exception):
    """The other end is closed, so that it can't be told whose it was."""


class SocketOwners:
    """Asks the kernel. Has a socket, and belongs to one thread."""

    def __init__(self) -> None:
        self._netlink: socket.socket | None = None
        with contextlib.suppress(OSError, AttributeError):
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)

    def peer_user(self, sock: socket.socket) -> int | None:
        """Return the user at the other end of a connection, None if it isn't on this machine.

        Also None if the kernel doesn't tell. Raises PeerGone if the other end is closed: it could
        be anybody's, and nobody is there to be served.
        """
        if sock.family == socket.AF_UNIX:
            return unix_peer(sock)
        try:
            return self._user(sock.getpeername()[:2], sock.getsockname()[:2])
        except OSError as error:
            unknown = error.errno == errno.ENOENT  # as those on other machines are
            if error.errno == errno.ENOTCONN or (unknown and not _is_established(sock)):
                raise PeerGone("closed at once") from None
            return None

    def server_user(self, sock: socket.socket) -> int | None:
        """Return the user of the server that a socket is connected to, None if it isn't known."""
        if sock.family == socket.AF_UNIX:
            return unix_peer(sock)
        with contextlib.suppress(OSError, NoListener):
            return self.listening_user(*sock.getpeername()[:2])
        return None

    def listening_user(self, address: str, port: int) -> int | None:
        """Return the user of the socket that listens there, None if the kernel doesn't tell.

        Raises NoListener.
        """
        nobody = "::" if ":" in address else "0.0.0.0"  # noqa: S104 - no connection is from there
        try:
            return self._user((address, port), (nobody, 0))
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise NoListener(f"no process listens on port {port} of {address}") from None
            return None

    def close(self) -> None:
        """Release the socket; nothing is known any more."""
        netlink, self._netlink = self._netlink, None
        if netlink is not None:
            netlink.close()

    def _user(self, here: Endpoint, there: Endpoint) -> int | None:
        """Return the user of the socket between two endpoints; raises OSError."""
        if self._netlink is None:
            return None
        self._netlink.send(_request(here, there))
        answer = self._netlink.recv(4096, socket.MSG_DONTWAIT)
        _, kind, _, _, _ = _HEADER.unpack_from(answer)
        if kind == _ERROR:
            (code,) = struct.unpack_from("=i", answer, _HEADER.size)
            raise OSError(-code, os.strerror(-code))
        user, inode = _ANSWER.unpack_from(answer, _HEADER.size)
        if not inode:  # no process has it any more
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return int(user)


def _is_established(sock: socket.socket) -> bool:
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED
    except OSError:
        return False


def unix_peer(sock: socket.socket) -> int:
    """Return the user at the other end of a Unix socket: of the process that listens, or called."""
    found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(found)[1])


def plain_address(address: str) -> str:
    """Return an address without what makes one of IPv4 one of IPv6."""
    return address.removeprefix("::ffff:")


def is_own(address: str) -> bool:
    """Return whether a numeric address is one of this machine, and of one socket."""
    number = ipaddress.ip_address(address.partition("%")[0])
    if number.is_unspecified or number.is_multicast:
        return False
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        return True
    return False


def _request(here: Endpoint, there: Endpoint) -> bytes:
    addresses = [plain_address(here[0]), plain_address(there[0])]
    family = socket.AF_INET6 if ":" in addresses[0] else socket.AF_INET
    packed = [socket.inet_pton(family, each) for each in addresses]
    ports = _PORTS.pack(here[1], there[1])
    question = _QUESTION.pack(family, socket.IPPROTO_TCP, _ANY, ports, *packed, 0, _ANY, _ANY)
    size = _HEADER.size + len(question)
    return _HEADER.pack(size, _BY_FAMILY, _REQUEST, 0, 0) + question
