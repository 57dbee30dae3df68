"""A listening socket that was passed to this process, and a Pyro5 daemon that serves on it.

Whoever starts the process holds the socket, so that nobody is refused while one process takes
another's place. It comes as sd_listen_fds(3) describes, from pyroctl or from systemd: as descriptor
3, with LISTEN_PID and LISTEN_FDS in the environment.
"""

from __future__ import annotations

import os
import selectors
import socket
from typing import Any

FIRST_FD = 3


def inherited_socket() -> socket.socket | None:
    """Take the listening socket that was passed, or give None; the first one if there are several.

    The variables are removed and the descriptor closes on exec, so that no program started from
    here mistakes it for its own. Raises OSError if what was passed doesn't listen on TCP.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal() or int(count) < 1:
        return None
    sock = socket.socket(fileno=FIRST_FD)
    sock.set_inheritable(False)
    if sock.family == socket.AF_UNIX or not sock.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        sock.close()
        raise OSError("the socket that was passed (LISTEN_FDS) doesn't listen on TCP")
    return sock


def serve_on(daemon: Any, sock: socket.socket, host: str) -> None:
    """Let a Pyro5 daemon listen on this socket instead of the one that it has bound itself.

    Pyro5 has no way to be given a listening socket. To be called before the daemon's loop; the
    daemon closes the socket in the end, but it must not be shut down: others share it. URIs say
    the host as it was asked for, and the socket's own port.
    """
    server = daemon.transportServer
    server._selector.unregister(server.sock)  # noqa: SLF001 - what Pyro5 has from its own socket
    server.sock.close()
    server.sock = sock
    server._socketaddr = sock.getsockname()  # noqa: SLF001
    server._selector.register(sock, selectors.EVENT_READ, server)  # noqa: SLF001
    host, port = host.strip("[]"), sock.getsockname()[1]
    daemon.locationStr = server.locationStr = (
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    )
