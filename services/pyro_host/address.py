"""Where an object is served: on an inherited socket, or on one that is bound here."""

from __future__ import annotations

import errno
import socket

from pyro_child import CannotServe
from pyro_wire.address import host_port

KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 60),
    (socket.TCP_KEEPINTVL, 20),
    (socket.TCP_KEEPCNT, 3),
)
"""Finds vanished peers; accepted connections inherit it."""

_BACKLOG = 512
_EVERY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def open_listener(inherited: socket.socket | None, host: str, port: int) -> socket.socket:
    """Return the socket that a manager or systemd passed on, or a new one; non-blocking.

    An inherited socket stays at its address, whatever `host` and `port` are; clients that connect
    while no service runs wait in it. Raises CannotServe.
    """
    sock = inherited or _bind(host, port)
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
            f"the host {host!r} is unknown: {error}; specify a name or address of this machine"
        ) from None
    # Pyro5's clients prefer IPv4 where a name has both (PREFER_IP_VERSION), so do we.
    family, kind, proto, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotServe(
                f"{where} is taken by another program; stop it, or choose another port with "
                "--port PORT, or any free one with --port 0"
            ) from None
        if error.errno == errno.EACCES:
            message = f"{where} needs more privileges; choose a port above 1023"
            raise CannotServe(message, permanent=True) from None
        raise CannotServe(f"{where} can't be used: {error.strerror or error}") from None
    return sock


def advertised(sock: socket.socket, host: str) -> str:
    """Return the `HOST:PORT` for URIs: the host as it was written, if clients can use it.

    For a socket that listens on every address it is an address of this machine.
    """
    if host.strip("[]") in _EVERY_ADDRESS:
        from Pyro5.socketutil import get_ip_address  # noqa: PLC0415 - seldom needed

        version = 6 if sock.family == socket.AF_INET6 else 4
        host = str(get_ip_address("", workaround127=version == 4, version=version))  # noqa: PLR2004
    return host_port(host, sock.getsockname()[1])
