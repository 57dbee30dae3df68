"""The listener for other hosts, `[manager.remote]`: TLS 1.3 in the manager's event loop.

Nothing in it waits for others without a limit of time and of size; see `admission` for how many are
let in. What is refused is counted, and logged at most once a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import ssl
import time
from typing import TYPE_CHECKING

from pyroctl.control.protocol import Message, encode
from pyroctl.control.server import error_reply
from pyroctl.errors import NotPermitted, PyroctlError, describe
from pyroctl.manager.remote.admission import Admission
from pyroctl.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.manager.remote.identity import Identity
    from pyroctl.manager.remote.verbs import RemoteVerbs

HANDSHAKE_TIMEOUT = 5.0
"""Seconds for the TLS handshake."""
REQUEST_TIMEOUT = 10.0
"""Seconds for all that comes after it, up to the request of a client, or the end of a join."""
LONGEST_MESSAGE = 65536
"""Bytes."""
BACKLOG = 128
ACCEPTED_AT_ONCE = 16
"""Connections in one turn of the event loop."""
REST = 0.05
"""Seconds in which nothing is accepted, after some were refused."""
SUMMARY = 1.0
"""Seconds between lines in the log about what was refused."""

log = logging.getLogger(__name__)


class RemoteListener:
    """Takes connections of other hosts. Lives in the event loop's thread."""

    def __init__(
        self, identity: Identity, verbs: RemoteVerbs, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._identity = identity
        self._verbs = verbs
        self._clock = clock
        self._admission = Admission()
        self._socket: socket.socket | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._numbers = itertools.count()
        self._refusals = Refusals()

    @property
    def port(self) -> int:
        """The port on which it listens."""
        assert self._socket is not None
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many hosts are connected."""
        return self._admission.connections

    @property
    def refused(self) -> int:
        """How many connections and requests were refused."""
        return self._refusals.count

    async def open(self, host: str, port: int) -> None:
        """Listen; raises PyroctlError or OSError if certificate or address can't be used."""
        loop = asyncio.get_running_loop()
        self._identity.context()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        self._socket = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        self._socket.setblocking(False)
        loop.add_reader(self._socket, self._accept)

    async def close(self) -> None:
        """Accept no more, and disconnect everybody."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._resting is not None:
            self._resting.cancel()
        self._refusals.close()
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    def _accept(self) -> None:
        """Accept a few connections, and rest if that was too fast; others wait in the queue."""
        assert self._socket is not None
        refused = 0
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                sock, address = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                break
            except OSError as error:  # too many open files, for example
                self._refusals.add(f"can't accept: {describe(error)}")
                refused += 1
                break
            refused += not self._admit(sock, str(address[0]))
        if refused:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            self._resting = loop.call_later(REST, loop.add_reader, self._socket, self._accept)

    def _admit(self, sock: socket.socket, peer: str) -> bool:
        number = next(self._numbers)
        refusal = self._admission.arrive(number, peer, self._clock())
        if refusal is not None:
            sock.close()
            self._refusals.add(f"{peer}: {refusal}")
            return False
        superfluous = self._admission.superfluous()
        if superfluous is not None:
            self._tasks[superfluous].cancel("too many connections without a certificate")
        sock.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._serve(number, sock, peer))
        self._tasks[number] = task
        return True

    async def _serve(self, number: int, sock: socket.socket, peer: str) -> None:
        try:
            with sock:
                await self._converse(number, sock, peer)
        except TimeoutError:
            self._refusals.add(f"{peer}: it takes too long")
        except (OSError, PyroctlError) as error:
            self._refusals.add(f"{peer}: {_reason(error)}")
        except asyncio.CancelledError as error:
            self._refusals.add(f"{peer}: {error}")
        finally:
            self._admission.leave(number)
            del self._tasks[number]

    async def _converse(self, number: int, sock: socket.socket, peer: str) -> None:
        reader, writer = await self._handshake(sock)
        try:
            tls = writer.get_extra_info("ssl_object")
            try:
                client = self._identity.client(tls)
                if client is not None and not self._admission.introduce(number):
                    raise NotPermitted("too many hosts are connected", hint="try again later")
                if client is not None:
                    reply = await self._verbs.serve_client(client, reader, writer)
                else:
                    async with asyncio.timeout(REQUEST_TIMEOUT):
                        data = await self._verbs.serve_stranger(reader, writer, peer)
                    reply = {"data": data, "errors": [], "exit_code": 0}
            except PyroctlError as error:
                self._refusals.add(f"{peer}: {_reason(error)}")
                reply = error_reply(error)
            await _send(writer, reply)
        finally:
            writer.transport.abort()

    async def _handshake(
        self, sock: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LONGEST_MESSAGE, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            sock,
            ssl=self._identity.context(),
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
            ssl_shutdown_timeout=SUMMARY,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class Refusals:
    """Counts what was refused, and logs it: the first at once, others once a second."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting = 0
        self._last = ""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, reason: str) -> None:
        """Count one; the reason names who was refused."""
        self.count += 1
        self._waiting += 1
        self._last = printable(reason)
        if self._timer is None:
            self._summarize()

    def close(self) -> None:
        """Log what is left."""
        if self._timer is not None:
            self._timer.cancel()
        if self._waiting:
            self._summarize()
        if self._timer is not None:
            self._timer.cancel()

    def _summarize(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        if self._waiting == 1:
            log.warning("remote: refused %s", self._last)
        else:
            log.warning("remote: %d were refused, the last %s", self._waiting, self._last)
        self._waiting = 0
        self._timer = asyncio.get_running_loop().call_later(SUMMARY, self._summarize)


def _reason(error: OSError | PyroctlError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {str(error.reason or error).lower().replace('_', ' ')}"
    return describe(error) or "the connection ended"


async def _send(writer: asyncio.StreamWriter, reply: Message) -> None:
    """Send the last message, and end TLS in order, so that the client knows it has all."""
    writer.write(encode({"reply": reply}))
    writer.close()
    with contextlib.suppress(OSError):
        async with asyncio.timeout(REQUEST_TIMEOUT):
            await writer.wait_closed()
