"""Waits for a socket that another thread can interrupt."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable

from pyro_events._client.process import process

Wait = Callable[[socket.socket, float | None, int], tuple[bool, bool]]
"""A function like `Waker.wait`."""


def wait(sock: socket.socket, seconds: float | None, mask: int) -> tuple[bool, bool]:
    """Wait as `Waker.wait`, but without a way to be woken."""
    poll = select.poll()
    poll.register(sock, mask)
    return bool(poll.poll(None if seconds is None else max(0.0, seconds) * 1000)), False


class Stopped(Exception):
    """`Waker.stop` was called."""


class Waker:
    """Waits for a socket in one thread, while all others can wake it.

    Any thread and signal handler may call `wake` and `stop`; the rest belongs to the waiting
    thread.
    """

    def __init__(self) -> None:
        self._stopped = False
        self._receiver, self._sender = socket.socketpair()
        process.add_socket(self._receiver)
        process.add_socket(self._sender)
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._receiver, select.POLLIN)

    def wake(self) -> None:
        """Make the current wait return, or the next one if no thread waits."""
        try:
            self._sender.send(b"\0")
        except OSError as error:  # full: it will wake anyway; closed: no thread waits
            if error.errno is None:
                raise  # a signal handler's

    def stop(self) -> None:
        """Make the current and every further wait raise Stopped."""
        self._stopped = True
        self.wake()

    def check(self) -> None:
        """Raise Stopped if `stop` was called."""
        if self._stopped:
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Wait for `seconds`, or until woken. Raises Stopped."""
        self.check()
        if self._poll.poll(seconds * 1000):
            self._drain()
            self.check()

    def wait(self, sock: socket.socket, seconds: float | None, mask: int) -> tuple[bool, bool]:
        """Wait until the socket has one of the poll events of the mask, or the time is over.

        Returns whether it has one, and whether `wake` was called.
        """
        self.check()
        self._poll.register(sock, mask)
        try:
            ready = dict(self._poll.poll(None if seconds is None else max(0.0, seconds) * 1000))
        finally:
            self._poll.unregister(sock)
        if ready.pop(self._receiver.fileno(), 0):
            self._drain()
            self.check()
            return bool(ready), True
        return bool(ready), False

    def close(self) -> None:
        """Release the descriptors; no thread may wait any more."""
        self._receiver.close()
        self._sender.close()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._receiver.recv(4096):
                pass
