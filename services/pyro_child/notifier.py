"""Reports the service's state to its manager, as sd_notify(3) does."""

from __future__ import annotations

import logging
import os
import socket

SEND_TIMEOUT = 1.0
"""Seconds that a message may wait for a manager that doesn't read."""

_log = logging.getLogger("pyro_child")


class Notifier:
    """Sends the state of this service to its manager.

    `address` is a path, or the name of an abstract socket after an `@`; by default that of
    NOTIFY_SOCKET, and without one no method does anything. A manager that can't be reached is
    logged, not raised: the service carries on. Every method may be called from any thread.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address or os.environ.get("NOTIFY_SOCKET") or None

    def ready(self, uri: str | None = None, status: str | None = None) -> None:
        """Report that the service can serve now, at `uri` if it is a Pyro object."""
        self._send(READY="1", X_PYRO_URI=uri, STATUS=status)

    def status(self, text: str) -> None:
        """Describe the service's state in one line for people."""
        self._send(STATUS=text)

    def stopping(self) -> None:
        """Report that the service has begun to stop."""
        self._send(STOPPING="1")

    def _send(self, **fields: str | None) -> None:
        if self._address is None:
            return
        lines = [f"{key}={_one_line(value)}" for key, value in fields.items() if value is not None]
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(SEND_TIMEOUT)
                sock.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            _log.warning("can't send %s to the manager at %s: %s", lines, self._address, error)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
