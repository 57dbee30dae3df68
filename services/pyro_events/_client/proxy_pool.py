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
from pyro_events._client.process import process
from pyro_events._client.tls_proxy import bind
from pyro_events.ident import identified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from Pyro5.core import URI

    from pyro_wire.tls.files import TlsIdentity

MAX_IDLE = 4
"""Unused connections that are kept; a stock daemon has a thread for each."""


class ProxyOptions(NamedTuple):
    """How to connect: what to present, in which serializer, and how long an answer may take.

    Without `tls`, Pyro5's settings decide about TLS.
    """

    handshake: Any
    serializer: str | None
    timeout: float | None
    ident: str | None = None
    tls: TlsIdentity | None = None


class PooledProxy:
    """A proxy that connects on construction. Belongs to the thread that claimed it last."""

    def __init__(self, uri: URI, options: ProxyOptions, seconds: float) -> None:
        """Connect within `seconds`, or raise CommunicationError."""
        self.uri = uri
        self.made = time.time()
        """When connecting began, in seconds since the epoch."""
        self._proxy = proxy = Proxy(uri)
        proxy._pyroMaxRetries = 0  # whether to try again isn't Pyro5's decision
        if options.serializer is not None:
            proxy._pyroSerializer = options.serializer
        if options.handshake is not None:
            proxy._pyroHandshake = options.handshake
        if options.ident is not None:
            identified(proxy, ident=options.ident)
        default_timeout = proxy._pyroTimeout or None  # 0 would make the socket non-blocking
        proxy._pyroTimeout = max(seconds, 0.001)
        try:
            if options.tls is None or uri.sockname:
                proxy._pyroBind()
            else:
                bind(proxy, uri, options.tls, proxy._pyroTimeout)
        except BaseException:
            proxy._pyroRelease()
            raise
        proxy._pyroTimeout = default_timeout if options.timeout is None else options.timeout
        self._sock: socket.socket = proxy._pyroConnection.sock
        process.add_socket(self._sock)
        if self._sock.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):  # it has broken already; the first call will notice
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.methods = frozenset(proxy._pyroMethods)
        self.attributes = frozenset(proxy._pyroAttrs)

    def call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return the object's answer or raise its exception; raises ConnectionLost.

        If the answer is a stream, that needs the proxy for itself.
        """
        try:
            return self._proxy._pyroInvoke(name, args, kwargs)
        except CommunicationError as error:
            # Pyro5 closes the connection unless nothing was sent; also if the error is the answer,
            # which then has the remote traceback.
            if self.connected or hasattr(error, "_pyroTraceback"):
                raise
            raise ConnectionLost(str(error)) from error

    @property
    def connected(self) -> bool:
        """Whether the connection is open at this end."""
        return self._proxy._pyroConnection is not None

    def claim(self) -> bool:
        """Claim it for the calling thread; False if it has broken: its end, or data, arrived."""
        self._proxy._pyroClaimOwnership()
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0) or self._only_tickets()

    def _only_tickets(self) -> bool:
        """Return whether what has arrived is TLS's own; stock daemons send tickets at any time."""
        seconds = self._sock.gettimeout()
        try:
            self._sock.settimeout(0)
            self._sock.recv(1)
        except ssl.SSLWantReadError:
            self._sock.settimeout(seconds)
            return True
        except OSError:
            pass
        return False

    def shut_down(self) -> None:
        """End the connection for the thread that waits on it. Any thread may call this."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._proxy._pyroClaimOwnership()
        self._proxy._pyroRelease()


class Pool:
    """The proxies of one client, each used by one thread at a time. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # collecting garbage may call
        self._idle: list[PooledProxy] = []
        self._in_use: set[PooledProxy] = set()
        self._closed = False

    def renew_lock(self) -> None:
        """Forget who has the lock: all other threads have stopped."""
        self._lock = threading.RLock()

    def acquire(self, on_broken: Callable[[], object]) -> PooledProxy | None:
        """Return an idle proxy or None; `on_broken` is called for each that has broken."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                proxy = self._idle.pop()
                self._in_use.add(proxy)
            if proxy.claim():
                return proxy
            proxy.close()
            self.release(proxy)
            on_broken()

    def add(self, proxy: PooledProxy) -> None:
        """Add a new proxy, which is in use."""
        with self._lock:
            self._in_use.add(proxy)
            closed = self._closed
        if closed:
            proxy.shut_down()

    def release(self, proxy: PooledProxy, answer: object = None) -> None:
        """Keep a proxy for its next use, or close it if there are enough."""
        if isinstance(answer, Iterator):  # a stream keeps its proxy, and closes it by being dropped
            with self._lock:
                self._in_use.discard(proxy)
            return
        with self._lock:
            in_use = proxy in self._in_use
            self._in_use.discard(proxy)
            if in_use and proxy.connected and len(self._idle) < MAX_IDLE:
                self._idle.append(proxy)
                return
        proxy.close()

    def any(self, which: Callable[[PooledProxy], bool]) -> bool:
        """Return whether there is such a proxy."""
        with self._lock:
            return any(map(which, [*self._idle, *self._in_use]))

    def drop(self, which: Callable[[PooledProxy], bool] = lambda _line: True) -> int:
        """Disconnect those proxies, so that calls in progress end; return their number."""
        with self._lock:
            idle = [proxy for proxy in self._idle if which(proxy)]
            in_use = [proxy for proxy in self._in_use if which(proxy)]
            self._idle = [proxy for proxy in self._idle if proxy not in idle]
            self._in_use.difference_update(in_use)
        for proxy in idle:
            proxy.close()
        for proxy in in_use:
            proxy.shut_down()
        return len(idle) + len(in_use)

    def close(self) -> None:
        """Disconnect all proxies, and those that are added later."""
        with self._lock:
            self._closed = True
        self.drop()
