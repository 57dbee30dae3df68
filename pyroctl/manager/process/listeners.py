"""Which sockets listen where, and which process has them: proc(5), as far as this user may see."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

ESTABLISHED, LISTEN = "01", "0A"
"""States of sockets in /proc/net/tcp (net/tcp_states.h)."""
ACCEPTING = 0x10000
"""The flag of a listening socket in /proc/net/unix (__SO_ACCEPTCON)."""
TCP_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
UNIX_TABLE = "/proc/net/unix"

TcpPlace = tuple[str, int]
"""An address and a port."""
Place = TcpPlace | str
"""Also a Unix socket: its path as it was bound, with an @ before the name of an abstract one."""


class Listener(NamedTuple):
    """A listening socket."""

    place: Place
    inode: str
    uid: int = -1


def tcp_listeners() -> Iterator[Listener]:
    """Return all listening TCP sockets."""
    for table in TCP_TABLES:
        with contextlib.suppress(OSError), open(table) as file:
            for line in file.readlines()[1:]:
                words = line.split()
                if words[3] == LISTEN:
                    yield Listener(_tcp_place(words[1]), words[9], int(words[7]))


def unix_listeners() -> Iterator[Listener]:
    """Return all listening Unix sockets."""
    with contextlib.suppress(OSError), open(UNIX_TABLE, errors="surrogateescape") as file:
        for line in file.readlines()[1:]:
            words = line.rstrip("\n").split(maxsplit=7)
            if len(words) == 8 and int(words[3], 16) & ACCEPTING:  # noqa: PLR2004 - with a path
                yield Listener(words[7], words[6])


class Connection(NamedTuple):
    """An established TCP connection, at one of its ends."""

    local: TcpPlace
    remote: TcpPlace
    inode: str


def tcp_connections() -> Iterator[Connection]:
    """Return all established TCP connections."""
    for table in TCP_TABLES:
        with contextlib.suppress(OSError), open(table) as file:
            for line in file.readlines()[1:]:
                words = line.split()
                if words[3] == ESTABLISHED:
                    yield Connection(_tcp_place(words[1]), _tcp_place(words[2]), words[9])


def connection_inode(local: TcpPlace, remote: TcpPlace) -> str | None:
    """Return the inode of the socket of a connection whose ends are these."""
    for table in TCP_TABLES:
        with contextlib.suppress(OSError), open(table) as file:
            for line in file.readlines()[1:]:
                words = line.split()
                if (_tcp_place(words[1]), _tcp_place(words[2])) == (local, remote):
                    return words[9]
    return None


def _tcp_place(text: str) -> TcpPlace:
    """Parse the table's notation: words in the machine's byte order, then the port."""
    address, _, port = text.partition(":")
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    found = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    return plain(str(found)), int(port, 16)


def plain(address: str) -> str:
    """Return an IP address as it compares: an IPv4 address in IPv6's form is an IPv4 address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def open_sockets(pid: int) -> set[str]:
    """Return the inodes of the sockets that a process has open; none if it can't be seen."""
    found = set()
    directory = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for fd in os.listdir(directory):
            with contextlib.suppress(OSError):
                target = os.readlink(f"{directory}/{fd}")
                if target.startswith("socket:["):
                    found.add(target[len("socket:[") : -1])
    return found


def places_of(sessions: Mapping[int, Iterable[int]]) -> dict[Place, int]:
    """Return where the processes of each session listen: the session of each place."""
    holders = {
        inode: session
        for session, members in sessions.items()
        for pid in members
        for inode in open_sockets(pid)
    }
    listeners = [*tcp_listeners(), *unix_listeners()] if holders else []
    return {each.place: holders[each.inode] for each in listeners if each.inode in holders}


def is_at(place: Place, addresses: Collection[str], port: int) -> bool:
    """Return whether a socket that listens at `place` is reached at one of the addresses."""
    if isinstance(place, str) or place[1] != port:
        return False
    everywhere = ipaddress.ip_address(place[0]).is_unspecified
    return place[0] in addresses or (everywhere and any(map(is_ours, addresses)))


def is_ours(address: str) -> bool:
    """Return whether an IP address is one of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        return True
    return False
