"""The listening socket that a manager or systemd passes on, as sd_listen_fds(3) describes it."""

from __future__ import annotations

import logging
import os
import socket

FIRST_INHERITED = 3
"""The descriptor of the first socket that is passed on."""

_log = logging.getLogger("pyro_child")


def inherited_socket() -> socket.socket | None:
    """Return the listening socket of LISTEN_FDS, or None if there is none for this process.

    The variables are removed and the socket is closed on exec, so that no child is misled.
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
        _log.warning("the socket of LISTEN_FDS doesn't listen; ignored")
        sock.detach()
        return None
    sock.set_inheritable(False)
    return sock
