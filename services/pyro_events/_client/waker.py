"""Waits for a socket that any other thread can cut short."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable

Wait = Callable[[socket.socket, float | None, int], tuple[bool, bool]]
"""A way to wait, as `Waker.wait` is one."""


def wait(sock: socket.socket, seconds: float | None, mask: int) -> tuple[bool, bool]:
    """Wait as `Waker.wait`, with nobody who could wake."""
    poll = select.poll()
    poll.register(sock, mask)
    return bool(poll.poll(None if seconds is None else max(0.0, seconds) * 1000)), False


class Stopped(Exception):
    """The waker was told to stop."""


class Waker:
    """Lets one thread wait for a socket while all others can wake it.

    `wake` and `stop` may be called from any thread and from signal handlers; the rest belongs to
    the waiting thread.
    """

    def __init__(self) -> None:
        self._stopped = False
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._ear, select.POLLIN)

    def wake(self) -> None:
        """Let the present wait return, or the next one when nobody waits."""
        try:
            self._bell.send(b"\0")
        except OSError as error:  # full: it will wake anyway; closed: nobody waits
            if error.errno is None:
                raise  # a signal handler's

    def stop(self) -> None:
        """Let the present and every further wait raise Stopped."""
        self._stopped = True
        self.wake()

    def check(self) -> None:
        """Raise Stopped when it is time to leave."""
        if self._stopped:
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Wait for the time to pass; waking does not cut it short, stopping does."""
        self.check()
        if self._poll.poll(seconds * 1000):
            self._drain()
            self.check()

    def wait(self, sock: socket.socket, seconds: float | None, mask: int) -> tuple[bool, bool]:
        """Wait until the socket has one of the poll events of the mask, or the time is over.

        Gives whether it has and whether somebody called `wake`.
        """
        self.check()
        self._poll.register(sock, mask)
        try:
            ready = dict(self._poll.poll(None if seconds is None else max(0.0, seconds) * 1000))
        finally:
            self._poll.unregister(sock)
        if ready.pop(self._ear.fileno(), 0):
            self._drain()
            self.check()
            return bool(ready), True
        return bool(ready), False

    def close(self) -> None:
        """Release the descriptors; nobody may wait any more."""
        self._ear.close()
        self._bell.close()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass
