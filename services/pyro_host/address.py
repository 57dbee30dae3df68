"""Where an object is served: on an inherited socket, or on one that is bound here."""

from __future__ import annotations

import errno
import socket

from pyro_child.inherited_socket import inherited_socket
from pyro_host.errors import CannotServe

KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 60),
    (socket.TCP_KEEPINTVL, 20),
    (socket.TCP_KEEPCNT, 3),
)
"""Finds peers that vanished; accepted connections inherit it."""

_BACKLOG = 512
_EVERY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not bound


def open_listener(host: str, port: int) -> socket.socket:
    """Give the socket that a manager or systemd has passed on, or a new one; non-blocking.

    With an inherited socket `host` and `port` are not looked at: it stays where it is, and clients
    that come while nobody serves wait in it. Raises CannotServe.
    """
    sock = inherited_socket() or _bind(host, port)
    sock.setblocking(False)
    for option, value in KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _bind(host: str, port: int) -> socket.socket:
    where = f"port {port} on {host or 'any address'}"
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise CannotServe(
            f"the host {host!r} is unknown: {error}; give a name or address of this machine"
        ) from None
    # Pyro5's clients prefer IPv4 where a name has both (PREFER_IP_VERSION), so we do, too.
    family, kind, proto, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            message = f"{where} is taken by another program; stop that one, or choose another port"
            raise CannotServe(message) from None
        if error.errno == errno.EACCES:
            message = f"{where} needs more rights; choose a port from 1024 on"
            raise CannotServe(message, permanent=True) from None
        raise CannotServe(f"{where} can't be used: {error.strerror or error}") from None
    return sock


def advertised(sock: socket.socket, host: str) -> str:
    """Give the `HOST:PORT` for URIs: the host as it was written, if clients can use it.

    For a socket that listens on every address it is the machine's own address.
    """
    if host.strip("[]") in _EVERY_ADDRESS:
        from Pyro5.socketutil import get_ip_address  # noqa: PLC0415 - seldom needed

        version = 6 if sock.family == socket.AF_INET6 else 4
        host = str(get_ip_address("", workaround127=version == 4, version=version))  # noqa: PLR2004
    host = f"[{host.strip('[]')}]" if ":" in host else host
    return f"{host}:{sock.getsockname()[1]}"
