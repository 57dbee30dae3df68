"""One connection to any Pyro object, over a stock proxy, and a pool of them."""

# ruff: noqa: SLF001 - the names of Pyro5's own interface begin with an underscore

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from Pyro5.client import Proxy
from Pyro5.errors import CommunicationError

from pyro_events._client.connection import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from Pyro5.core import URI

MAX_IDLE = 4
"""Connections that are kept while nobody uses them; a stock daemon has a thread for each."""


class ProxyOptions(NamedTuple):
    """How to connect: what to present, in which serializer, and how long an answer may take."""

    handshake: Any
    serializer: str | None
    timeout: float | None


class PooledProxy:
    """A connection that is made on construction. Belongs to the thread that claimed it last."""

    def __init__(self, place: URI, manner: ProxyOptions, seconds: float) -> None:
        """Connect, in so many seconds or with a CommunicationError."""
        self.place = place
        self.made = time.time()
        """When it was begun, in seconds since the epoch."""
        self._proxy = proxy = Proxy(place)
        proxy._pyroMaxRetries = 0  # whether to try again isn't Pyro5's decision
        if manner.serializer is not None:
            proxy._pyroSerializer = manner.serializer
        if manner.handshake is not None:
            proxy._pyroHandshake = manner.handshake
        usual = proxy._pyroTimeout
        proxy._pyroTimeout = max(seconds, 0.001)
        try:
            proxy._pyroBind()
        except BaseException:
            proxy._pyroRelease()
            raise
        proxy._pyroTimeout = usual if manner.timeout is None else manner.timeout
        self._sock: socket.socket = proxy._pyroConnection.sock
        if self._sock.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):  # it has broken again; the first call will notice
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.methods = frozenset(proxy._pyroMethods)
        self.attributes = frozenset(proxy._pyroAttrs)

    def call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Give the object's answer, or raise its exception; raises ConnectionLost.

        A stream as the answer needs the line for itself.
        """
        try:
            return self._proxy._pyroInvoke(name, args, kwargs)
        except CommunicationError as error:
            # Pyro5 closes the connection, unless nothing was sent; and also when the error is the
            # answer, which then has the traceback from there.
            if self.connected or hasattr(error, "_pyroTraceback"):
                raise
            raise ConnectionLost(str(error)) from error

    @property
    def connected(self) -> bool:
        """Tell whether the connection is open here."""
        return self._proxy._pyroConnection is not None

    def claim(self) -> bool:
        """Make it the calling thread's; False when it is broken: its end, or anything, has come."""
        self._proxy._pyroClaimOwnership()
        if isinstance(self._sock, ssl.SSLSocket):  # tickets may come at any time
            return True
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def cut(self) -> None:
        """Let whoever waits on this connection see its end. Any thread may call it."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._proxy._pyroClaimOwnership()
        self._proxy._pyroRelease()


class Pool:
    """The lines of one client: borrowed, used by one thread, given back. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[PooledProxy] = []
        self._lent: set[PooledProxy] = set()
        self._closed = False

    def take(self, lost: Callable[[], object]) -> PooledProxy | None:
        """Borrow a line, None when there is none; `lost` hears of each that has broken."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                line = self._idle.pop()
                self._lent.add(line)
            if line.claim():
                return line
            line.close()
            self.give_back(line)
            lost()

    def lend(self, line: PooledProxy) -> None:
        """Count a new line among those that are in use."""
        with self._lock:
            self._lent.add(line)
            closed = self._closed
        if closed:
            line.cut()

    def give_back(self, line: PooledProxy, answer: object = None) -> None:
        """Take back what was borrowed, or close it when it isn't needed any more."""
        if isinstance(answer, Iterator):  # a stream keeps its line, and closes it by being dropped
            with self._lock:
                self._lent.discard(line)
            return
        with self._lock:
            lent = line in self._lent
            self._lent.discard(line)
            if lent and line.connected and len(self._idle) < MAX_IDLE:
                self._idle.append(line)
                return
        line.close()

    def any(self, which: Callable[[PooledProxy], bool]) -> bool:
        """Tell whether there is such a line."""
        with self._lock:
            return any(map(which, [*self._idle, *self._lent]))

    def drop(self, which: Callable[[PooledProxy], bool] = lambda _line: True) -> int:
        """Cut those lines, so that calls under way end; give how many there were."""
        with self._lock:
            idle = [line for line in self._idle if which(line)]
            lent = [line for line in self._lent if which(line)]
            self._idle = [line for line in self._idle if line not in idle]
            self._lent.difference_update(lent)
        for line in idle:
            line.close()
        for line in lent:
            line.cut()
        return len(idle) + len(lent)

    def close(self) -> None:
        """Cut everything, and let nothing be used any more."""
        with self._lock:
            self._closed = True
        self.drop()
