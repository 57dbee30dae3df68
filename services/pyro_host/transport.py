"""Pyro5's two servers on a socket that already listens, which stop at once.

They differ from Pyro5's own in three ways. The socket may be shared with a manager, so it is never
shut down or unlinked. TLS begins with the handshake, under its time limit, and not in `accept`,
where one silent client would block all others. And a pipe wakes the loop, which neither polls nor
connects to itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import time
from typing import TYPE_CHECKING, Any

from Pyro5 import config
from Pyro5.svr_multiplex import SocketServer_Multiplex
from Pyro5.svr_threads import (
    ClientConnectionJob,
    Housekeeper,
    NoFreeWorkersError,
    Pool,
    SocketServer_Threadpool,
)

from pyro_wire.tls.door import stop_reading

if TYPE_CHECKING:
    from collections.abc import Callable


ACCEPT_PAUSE = 0.1
"""Seconds between attempts while the system refuses to accept."""

_log = logging.getLogger("pyro_host")


class LoopWaker:
    """Ends a `select` from another thread, for good."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self._reader, self._writer = os.fdopen(reader, "rb", 0), os.fdopen(writer, "wb", 0)

    def fileno(self) -> int:
        """Return the descriptor to select for reading."""
        return self._reader.fileno()

    def wake(self) -> None:
        """Make the descriptor readable for good; from any thread."""
        self._writer.write(b"\0")

    def events(self, _ready: object) -> None:
        """Do nothing; the loop only has to check its condition again."""

    def close(self) -> None:
        """Close the pipe."""
        self._reader.close()
        self._writer.close()


class ThreadTransport(SocketServer_Threadpool):  # type: ignore[misc] # Pyro5 ships no types
    """A thread for each client."""

    def init(self, daemon: Any, _host: str, _port: int, unixsocket: None = None) -> None:  # noqa: ARG002 - Pyro5's signature
        """Start, in place of Pyro5's method; called once by its daemon."""
        self.daemon = daemon
        self.sock = daemon.listener
        self._socketaddr = self.sock.getsockname()
        self.locationStr = daemon.advertised
        self.waker = LoopWaker()
        self.pool = Pool()
        self.housekeeper = Housekeeper(daemon)
        self.housekeeper.start()
        self._selector.register(self.sock, selectors.EVENT_READ)
        self._selector.register(self.waker, selectors.EVENT_READ)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.pool.busy)

    def loop(self, loopCondition: Callable[[], bool] = lambda: True) -> None:  # noqa: N803 - Pyro5's name
        """Accept clients until the condition, checked after each event, is false."""
        while loopCondition():
            self._selector.select()
            if loopCondition():
                self._accept()

    def _accept(self) -> None:
        try:
            client, address = self.sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it left, or another process accepted it
        except OSError as error:  # too many open files, for example
            _log.warning("can't accept a client: %s", error)
            time.sleep(ACCEPT_PAUSE)
            return
        client.settimeout(config.COMMTIMEOUT or None)
        job = ClientConnectionJob(client, address, self.daemon)
        try:
            self.pool.process(job)
        except NoFreeWorkersError:
            job.denyConnection("no free workers, increase server threadpool size")

    def disconnect_clients(self) -> None:
        """Make each client's thread end after the call in progress."""
        for worker in list(self.pool.busy):
            if (job := worker.job) is not None:
                with contextlib.suppress(OSError):
                    stop_reading(job.csock.sock)

    def close(self) -> None:
        """Close everything; calls in progress are left to their daemon threads."""
        self.pool.busy.clear()  # Pyro5 would wait for each
        super().close()
        self._selector.close()
        self.waker.close()

    def abandon(self) -> None:
        """Close the descriptors, and leave what they stand for to the parent."""
        for worker in list(self.pool.busy):
            if (job := worker.job) is not None:
                job.csock.sock.close()
        self._selector.close()
        self.sock.close()
        self.waker.close()


class MultiplexTransport(SocketServer_Multiplex):  # type: ignore[misc] # Pyro5 ships no types
    """One thread for all clients: the one that runs the loop."""

    def init(self, daemon: Any, _host: str, _port: int, unixsocket: None = None) -> None:  # noqa: ARG002 - Pyro5's signature
        """Start, in place of Pyro5's method; called once by its daemon."""
        self.daemon = daemon
        self.sock = daemon.listener
        self._socketaddr = self.sock.getsockname()
        self.locationStr = daemon.advertised
        self.waker = LoopWaker()
        self.selector.register(self.sock, selectors.EVENT_READ, self)
        self.selector.register(self.waker, selectors.EVENT_READ, self.waker)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return max(0, len(self.selector.get_map() or ()) - 2)

    def disconnect_clients(self) -> None:
        """Disconnect the clients, after the loop has ended."""
        for key in list((self.selector.get_map() or {}).values()):
            if key.fileobj not in (self.sock, self.waker):
                key.fileobj.close()

    def close(self) -> None:
        """Close everything."""
        super().close()
        self.waker.close()

    def abandon(self) -> None:
        """Close the descriptors, and leave what they stand for to the parent."""
        for key in list((self.selector.get_map() or {}).values()):
            if key.fileobj not in (self.sock, self.waker):
                key.fileobj.sock.close()
        self.selector.close()
        self.sock.close()
        self.waker.close()
