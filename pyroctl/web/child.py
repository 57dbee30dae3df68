"""The page as a well-behaved child of the manager: its socket, its readiness, and its end."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from pyro_child import AskRefused, ControlChannel, Notifier
from pyro_child.inherited_socket import inherited_socket
from pyro_child.log import LogHandler

if TYPE_CHECKING:
    import socket


class Child:
    """The page's end of what it shares with the manager. Lives in the event loop's thread.

    Raises OSError if no listening socket was passed on.
    """

    def __init__(self) -> None:
        listening = inherited_socket()
        if listening is None:
            raise OSError('it is started by the manager: a service of kind = "web"')
        self.socket: socket.socket = listening
        self.ended = asyncio.Event()
        """Set when it is told to stop, or the manager is gone."""
        self.failed = False
        """Whether it ends because something is broken here."""
        self._notifier = Notifier()
        self._channel = ControlChannel.from_environment()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ended.set)
        if self._channel is not None:
            loop.add_reader(self._channel.fileno(), self._asked, self._channel)

    def fail(self) -> None:
        """End, for the manager to start another one."""
        self.failed = True
        self.ended.set()

    def ready(self, url: str) -> None:
        """Report that the page is served there."""
        self._notifier.ready(url)

    def close(self) -> None:
        """Leave the manager."""
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()

    def _asked(self, channel: ControlChannel) -> None:
        if not channel.on_readable(_answer, patience=0):
            asyncio.get_running_loop().remove_reader(channel.fileno())
            self.ended.set()


def _answer(ask: str, _parameters: dict[str, object]) -> object:
    if ask != "ping":
        raise AskRefused(f"unknown request {ask!r}")
    return "pong"


def set_up_logging() -> None:
    """Log to standard error, which the manager reads, without ever waiting for it."""
    logging.basicConfig(level=logging.WARNING, handlers=[LogHandler("%(levelname)s %(message)s")])
    logging.getLogger("pyroctl").setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # strangers could fill the log
