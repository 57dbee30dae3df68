"""Outgoing connections without waiting: names are looked up on a thread, connects time out."""

from __future__ import annotations

import ipaddress
import os
import queue
import socket
import threading
from typing import TYPE_CHECKING, Any

from pyro_events._broker.net.loop import WRITE
from pyro_events._broker.net.socket_owner import plain_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._broker.net.loop import Loop


class Resolver:
    """Looks up host names on one thread, which starts with the first one."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._questions: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def resolve(self, host: str, then: Callable[[Sequence[str] | OSError], None]) -> None:
        """Call `then`, in the loop's thread, with the addresses of a host."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="resolver", daemon=True)
            self._thread.start()

        def look_up() -> None:
            answer = _look_up(host)
            self._loop.call_soon(lambda: then(answer))

        self._questions.put(look_up)

    def close(self, patience: float = 0.2) -> None:
        """End the thread, unless it hangs in the system's resolver; then it ends later."""
        if self._thread is not None:
            self._questions.put(None)
            self._thread.join(patience)

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            question()


def numeric(host: str) -> str | None:
    """Return the address of a host that needs no lookup, or None."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _look_up(host: str) -> list[str] | OSError:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return error
    except UnicodeError:
        return OSError(f"{host!r} is not a host name")
    return [plain_address(str(address[0])) for _, _, _, _, address in found]


class Dial:
    """One attempt to connect. `done` gets the connected socket, or the error, exactly once."""

    def __init__(
        self, loop: Loop, timeout: float, done: Callable[[socket.socket | OSError], None]
    ) -> None:
        self._loop = loop
        self._done: Callable[[socket.socket | OSError], None] | None = done
        self._sock: socket.socket | None = None
        self._timer = loop.call_later(timeout, lambda: self._fail(TimeoutError("no answer")))

    def to(self, address: str, port: int | None) -> None:
        """Connect to a numeric address, or to the path of a Unix socket if there is no port."""
        if port is None:
            self._connect(socket.AF_UNIX, address)
        elif ":" in address:
            self._connect(socket.AF_INET6, (address, port, 0, 0))
        else:
            self._connect(socket.AF_INET, (address, port))

    def cancel(self) -> None:
        """Stop trying; `done` will not be called."""
        self._done = None
        self._release()

    def _connect(self, family: socket.AddressFamily, address: Any) -> None:
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            self._fail(error)
            return
        sock.setblocking(False)
        try:
            sock.connect(address)
        except OSError as error:
            # On a Unix socket EAGAIN says that the backlog is full: nothing is in progress then.
            if not isinstance(error, BlockingIOError) or family == socket.AF_UNIX:
                sock.close()
                self._fail(error)
                return
        self._sock = sock
        self._loop.watch(sock, WRITE, self._ready)

    def _ready(self, _mask: int) -> None:
        sock = self._sock
        if sock is None:
            return
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(OSError(code, os.strerror(code)))
            return
        self._loop.unwatch(sock)
        self._sock = None
        self._tell(sock)

    def _fail(self, error: OSError) -> None:
        self._release()
        self._loop.call_soon(lambda: self._tell(error))

    def _tell(self, outcome: socket.socket | OSError) -> None:
        self._timer.cancel()
        done, self._done = self._done, None
        if done is not None:
            done(outcome)
        elif isinstance(outcome, socket.socket):
            outcome.close()

    def _release(self) -> None:
        self._timer.cancel()
        if self._sock is not None:
            self._loop.unwatch(self._sock)
            self._sock.close()
            self._sock = None
