"""The client of the control channel for programs with an event loop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from pyroctl.control.client import ANSWER_TIMEOUT, connect, log_hint, no_answer
from pyroctl.control.protocol import MAX_LINE, Message, encode, parse_line, request
from pyroctl.errors import ManagerExited

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Callable

    from pyroctl.paths import Paths


async def ask(
    paths: Paths,
    do: str,
    args: Message,
    on_event: Callable[[Message], None] | None = None,
) -> Message:
    """Send the manager a request and return its reply, as `client.call` does, which blocks.

    `on_event` also gets the signs of life, with `kind` "alive". Cancelling it closes the
    connection, which ends a `watch`.
    """
    sock = await asyncio.to_thread(connect, paths)
    try:
        async with contextlib.aclosing(exchange(sock, do, args)) as messages:
            async for message in messages:
                if "reply" in message:
                    reply: Message = message["reply"]
                    return reply
                if on_event is not None:
                    on_event(message["event"])
    except TimeoutError:
        raise no_answer(paths) from None
    except ConnectionError:
        pass
    raise ManagerExited("the manager exited before it answered", hint=log_hint(paths))


async def exchange(sock: socket.socket, do: str, args: Message) -> AsyncGenerator[Message]:
    """Send a request over a connected socket, and yield what the manager sends until the reply.

    It ends without a reply if the manager does. Raises TimeoutError after a silence of
    `ANSWER_TIMEOUT` seconds, ConnectionError, and ValueError for a line that is too long. The
    socket is closed at the end.
    """
    reader, writer = await asyncio.open_unix_connection(sock=sock, limit=2 * MAX_LINE)
    try:
        writer.write(encode(request(do, args)))
        while True:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                line = await reader.readline()
            if not line:
                return
            message = parse_line(line)
            yield message
            if "reply" in message:
                return
    finally:
        writer.close()
