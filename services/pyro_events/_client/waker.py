"""Waits for a socket that another thread can interrupt."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable

from pyro_events._client.process import process

Wait = Callable[[socket.socket, float | None, int], tuple[bool, bool]]
"""A function like `Waker.wait`."""


class Waiter:
    """Waits for one socket as `Waker.wait`, but without a way to be woken; a thread at a time."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._mask = 0

    def __call__(self, sock: socket.socket, seconds: float | None, mask: int) -> tuple[bool, bool]:
        """Wait until the socket has one of the events of the mask, or the time is over."""
        if mask != self._mask:
            self._poll.register(sock, mask)
            self._mask = mask
        return bool(self._poll.poll(None if seconds is None else max(0.0, seconds) * 1000)), False


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
        self._awaited = -1, 0
        """The socket that was waited for last, by its descriptor, and the events."""

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
        self._forget()
        if self._poll.poll(seconds * 1000):
            self._drain()
            self.check()

    def wait(self, sock: socket.socket, seconds: float | None, mask: int) -> tuple[bool, bool]:
        """Wait until the socket has one of the poll events of the mask, or the time is over.

        Returns whether it has one, and whether `wake` was called.
        """
        if self._stopped:
            raise Stopped
        file = sock.fileno()
        if self._awaited != (file, mask):
            self._forget()
            self._awaited = file, 0  # until it is registered, should this be interrupted
            self._poll.register(file, mask)
            self._awaited = file, mask
        ready = dict(self._poll.poll(None if seconds is None else max(0.0, seconds) * 1000))
        if not ready:
            return False, False
        if ready.pop(self._receiver.fileno(), 0):
            self._drain()
            self.check()
            return bool(ready), True
        return bool(ready), False

    def close(self) -> None:
        """Release the descriptors; no thread may wait any more."""
        self._receiver.close()
        self._sender.close()

    def _forget(self) -> None:
        """Wait for no socket but our own."""
        file, self._awaited = self._awaited[0], (-1, 0)
        if file >= 0:
            with contextlib.suppress(KeyError):  # interrupted before it was registered
                self._poll.unregister(file)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._receiver.recv(4096):
                pass
