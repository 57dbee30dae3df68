"""The server of the control channel: asyncio on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import socket
import sys
from typing import TYPE_CHECKING, Any, cast

from pyroctl.control.client import SocketAddress, peer_uid
from pyroctl.control.protocol import (
    ALIVE_INTERVAL,
    MAX_LINE,
    Decoder,
    MalformedMessage,
    Message,
    check_request,
    encode,
)
from pyroctl.directories import identity
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    Progress = Callable[[Message], None]
    Handler = Callable[[str, Message, Progress], Awaitable[Message]]
    Permit = Callable[[int, Collection[int], str | None], None]

REQUEST_TIMEOUT = 10.0
"""Seconds that a client has to send its request."""
TURNS_TO_ACCEPT = 10
"""Turns of the event loop until asyncio has started a task for a connection just accepted."""
SO_PEERGROUPS = 59
"""Of Linux; Python has no name for it."""
LARGEST_OPTION = 1024
"""Bytes that Python reads of an option: 256 groups."""
DRAIN_TIMEOUT = 5.0
"""Seconds for the last replies when the server stops."""
ENDLESS = frozenset({"watch"})
"""Verbs that are handled until the client leaves, or the server stops."""
UNREAD = 1 << 16
"""Bytes that a client has not read, from which on it gets no signs of life."""
KEEP_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}

log = logging.getLogger(__name__)


class ControlServer:
    """Accepts one request per connection and has `handler` answer it.

    The handler receives the verb, the arguments and a function that sends progress messages. It
    returns the reply; a PyroctlError that it raises becomes an error reply. It is cancelled when
    the client leaves only if the argument `until_left` asks for that. `permit` gets user and groups
    of the client and the verb, None before the request is read, and raises NotPermitted.
    """

    def __init__(self, path: str, handler: Handler, permit: Permit) -> None:
        self._path = path
        self._handler = handler
        self._permit = permit
        self._server: asyncio.Server | None = None
        self._file: tuple[int, int] | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self._endless: set[asyncio.Task[None]] = set()

    async def start(self, fd: int | None = None) -> None:
        """Bind and listen. The caller holds the deployment's lock, so an old socket is stale.

        `fd` is a socket that is already listening, see `release`.
        """
        sock = self._bind() if fd is None else socket.socket(fileno=fd)
        self._file = identity(self._path)
        self._server = await asyncio.start_unix_server(
            self._accept, sock=sock, limit=MAX_LINE, **KEEP_FILE
        )

    async def restore(self) -> bool:
        """Bind and listen again if the socket's file was removed; return whether it was.

        Raises OSError.
        """
        old = self._server
        if old is None or identity(self._path) == self._file is not None:
            return False
        await self.start()
        await _accept_queue()
        old.close()
        return True

    def _bind(self) -> socket.socket:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        old_umask = os.umask(0o177)  # the socket is 0600 from its first moment
        try:
            with SocketAddress(self._path) as address:
                sock.bind(address)
        finally:
            os.umask(old_umask)
        return sock

    async def release(self) -> int:
        """Accept no more requests, and return the listening socket, in whose queue clients wait.

        Returns when the pending requests have their replies.
        """
        assert self._server is not None
        fd = os.dup(self._server.sockets[0].fileno())
        self._server.close()
        await _accept_queue()
        self._end_endless()
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=DRAIN_TIMEOUT)
        return fd

    async def stop(self) -> None:
        """Accept no more requests, let the pending ones send their replies, remove the socket."""
        if self._server is None:
            return
        self._server.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        self._end_endless()
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=DRAIN_TIMEOUT)
        for task in self._conversations:
            task.cancel()

    def _end_endless(self) -> None:
        for task in self._endless:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, TimeoutError):
            pass  # the client has left; its request is carried out all the same
        finally:
            self._conversations.discard(task)
            self._endless.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            sock = writer.get_extra_info("socket")
            peer = peer_uid(sock), peer_groups(sock)
            self._permit(*peer, None)
            do, args = await asyncio.wait_for(_read_request(reader), REQUEST_TIMEOUT)
            self._permit(*peer, do)
            if client_has_left(writer):
                log.warning("%r was not carried out: the client has left", do)
                return
        except PyroctlError as error:
            reply = error_reply(error)
        else:
            if do in ENDLESS:
                self._endless.add(cast("asyncio.Task[None]", asyncio.current_task()))
            reply = await answer(self._handler, do, args, reader, writer)
        writer.write(encode({"reply": reply}))
        await writer.drain()


class Events:
    """What is sent to a client before its reply."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def __call__(self, event: Message) -> None:
        """Send an event, or keep it until the client reads."""
        if not self._writer.is_closing():
            self._writer.write(encode({"event": event}))

    async def drain(self) -> None:
        """Wait until the client has read most of what was sent.

        Raises ConnectionAbortedError if it has left.
        """
        try:
            await self._writer.drain()
        except ConnectionError:
            raise ConnectionAbortedError from None

    @property
    def unread(self) -> int:
        """How many bytes the client has not read."""
        return self._writer.transport.get_write_buffer_size()


async def answer(
    handler: Handler,
    do: str,
    args: Message,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> Message:
    """Return the reply to a request; progress and signs of life are sent while it is handled.

    Raises ConnectionAbortedError if it was cancelled.
    """
    send = Events(writer)
    alive = asyncio.create_task(_keep_alive(send))
    handling = asyncio.ensure_future(handler(do, args, send))
    try:
        if args.get("until_left") or do in ENDLESS:
            await _until_left(handling, reader)
        return await handling
    except PyroctlError as error:
        return error_reply(error)
    except (asyncio.CancelledError, ConnectionAbortedError):
        handling.cancel()
        raise ConnectionAbortedError from None
    except Exception as error:
        log.exception("the request %r failed", do)
        return error_reply(PyroctlError(f"internal error in the manager: {error!r}"))
    finally:
        alive.cancel()


async def _until_left(handling: asyncio.Future[Message], reader: asyncio.StreamReader) -> None:
    """Wait until a request is handled; cancel that if the client leaves."""
    left = asyncio.ensure_future(_end_of(reader))
    either: set[asyncio.Future[Any]] = {handling, left}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not handling.done():
            handling.cancel()
    finally:
        left.cancel()


async def _accept_queue() -> None:
    """Wait until connections that are in the queue are accepted."""
    for _ in range(TURNS_TO_ACCEPT):
        await asyncio.sleep(0)


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, Message]:
    decoder = Decoder()
    while data := await reader.read(65536):
        for message in decoder.feed(data):
            return check_request(message)
    raise MalformedMessage("the connection ended before a request arrived")


async def _end_of(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        await reader.read()


async def _keep_alive(send: Events) -> None:
    while True:
        await asyncio.sleep(ALIVE_INTERVAL)
        if send.unread < UNREAD:
            send({"kind": "alive"})


def peer_groups(sock: socket.socket) -> Collection[int]:
    """Return all groups of the process at the other end (SO_PEERGROUPS, unix(7))."""
    try:
        found = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, LARGEST_OPTION)
    except OSError:  # in more groups than there is place for
        return ()
    return memoryview(found).cast("I").tolist()


def client_has_left(writer: asyncio.StreamWriter) -> bool:
    """Return whether the client has closed the connection, as it does if the manager froze."""
    poll = select.poll()
    poll.register(writer.get_extra_info("socket").fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))


def error_reply(error: PyroctlError) -> Message:
    """Return an error as a reply."""
    return {"data": None, "errors": error.entries(), "exit_code": error.exit_code}
