"""A listening socket that was passed on by whoever started us, as sd_listen_fds(3) describes it."""

from __future__ import annotations

import logging
import os
import selectors
import socket
from typing import Any

FIRST_INHERITED = 3
"""The descriptor of the first socket that is passed on."""

_log = logging.getLogger("pyro_host")


def inherited_socket() -> socket.socket | None:
    """Take the listening socket of LISTEN_FDS; None if there is none for this process.

    The variables are taken away, and it is closed on exec, so that no child is misled.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal() or not int(count):
        return None
    try:
        sock = socket.socket(fileno=FIRST_INHERITED)
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        _log.warning("LISTEN_FDS promises a socket, but there is none: %s", error)
        return None
    if not listens:
        _log.warning("the socket of LISTEN_FDS doesn't listen: ignored")
        sock.detach()
        return None
    sock.set_inheritable(False)
    return sock


def serve_on(daemon: Any, sock: socket.socket, host: str) -> None:
    """Let a Pyro5 daemon with a thread server serve on that socket instead of its own.

    Its URIs will have `host`, as it was written, and the socket's port.
    """
    server = daemon.transportServer
    selector = server._selector  # noqa: SLF001 - Pyro5 has no other way
    selector.unregister(server.sock)
    server.sock.close()
    server.sock, server._socketaddr = sock, sock.getsockname()  # noqa: SLF001 - the same
    selector.register(sock, selectors.EVENT_READ, server)
    name = f"[{host.strip('[]')}]" if ":" in host else host
    server.locationStr = daemon.locationStr = f"{name}:{sock.getsockname()[1]}"
