"""Connecting a socket to the daemon of a PYRO: URI, within a time and until it is woken."""

from __future__ import annotations

import errno
import os
import select
import socket
from typing import TYPE_CHECKING, Any

from pyro_events._client.process import process
from pyro_events.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from Pyro5.core import URI

    from pyro_events._client.waker import Waker

_DEAD_AFTER = 20
"""Seconds after which the system gives up a peer that no longer acknowledges."""


def connect(uri: URI, waker: Waker, clock: Callable[[], float], deadline: float) -> socket.socket:
    """Try the addresses of a host one after the other, until `deadline` by the clock.

    Raises Unreachable with the last failure, and Stopped when the waker is stopped.
    """
    failure: OSError | str = "no address"
    for family, address in _addresses(uri):
        sock = socket.socket(family, socket.SOCK_STREAM)
        process.add_socket(sock)
        try:
            sock.setblocking(False)
            code = sock.connect_ex(address)
            if code == errno.EINPROGRESS:
                code = _connected(sock, waker, clock, deadline)
            if code == 0:
                _configure(sock)
                return sock
            failure = os.strerror(code)
        except OSError as error:
            failure = error.strerror or str(error)
        except BaseException:
            sock.close()
            raise
        sock.close()
    raise Unreachable(f"{uri.location} can't be reached: {failure}")


def _connected(
    sock: socket.socket, waker: Waker, clock: Callable[[], float], deadline: float
) -> int:
    ready = False
    while not ready:
        left = deadline - clock()
        if left <= 0:
            return errno.ETIMEDOUT
        ready, _ = waker.wait(sock, left, select.POLLOUT)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _addresses(uri: URI) -> list[tuple[int, Any]]:
    if uri.sockname:
        return [(socket.AF_UNIX, uri.sockname)]
    try:
        found = socket.getaddrinfo(uri.host, uri.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(f"{uri.location} can't be reached: {error.strerror or error}") from None
    return [(family, address) for family, _, _, _, address in found]


def _configure(sock: socket.socket) -> None:
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _DEAD_AFTER // 2),
        ("TCP_KEEPINTVL", _DEAD_AFTER // 4),
        ("TCP_USER_TIMEOUT", _DEAD_AFTER * 1000),
    ):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
