"""Asks the manager over the page's own control socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

from pyroctl.control.async_client import exchange
from pyroctl.control.client import ANSWER_TIMEOUT, SocketAddress
from pyroctl.errors import EXIT_FAILED, ManagerNotRunning, NoAnswer, Reported

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from pyroctl.control.protocol import Message


class ManagerLink:
    """The manager, for requests of the page."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def ask(
        self, do: str, args: Message, on_event: Callable[[Message], None] | None = None
    ) -> Message:
        """Return the reply: `data`, `errors` and `exit_code`; `on_event` gets what comes before it.

        Raises ManagerNotRunning, or NoAnswer after a silence of `ANSWER_TIMEOUT` seconds.
        """
        async with contextlib.aclosing(self.listen(do, args)) as messages:
            async for message in messages:
                if "reply" in message:
                    reply: Message = message["reply"]
                    return reply
                if on_event is not None:
                    on_event(message["event"])
        raise ManagerNotRunning("the manager ended before it answered")

    async def data(self, do: str, args: Message) -> Any:
        """Return the data of a reply; raises like `ask`, and Reported for what it refuses."""
        reply = await self.ask(do, args)
        if reply["errors"] and reply["data"] is None:
            raise Reported(reply["errors"], reply["exit_code"] or EXIT_FAILED)
        return reply["data"]

    async def listen(self, do: str, args: Message) -> AsyncGenerator[Message]:
        """Yield everything that the manager sends until the reply; raises like `ask`."""
        sock = await self._connect()
        try:
            async with contextlib.aclosing(exchange(sock, do, args)) as messages:
                async for message in messages:
                    yield message
        except TimeoutError:
            raise _frozen() from None
        except (ConnectionError, ValueError):
            raise ManagerNotRunning("the manager has ended the connection") from None

    async def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            with SocketAddress(self._path) as address:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    await asyncio.get_running_loop().sock_connect(sock, address)
        except TimeoutError:
            sock.close()
            raise _frozen() from None
        except OSError:
            sock.close()
            raise ManagerNotRunning("the manager isn't running") from None
        return sock


def _frozen() -> NoAnswer:
    return NoAnswer(
        "the manager does not answer", hint="if it is suspended: kill -CONT its process"
    )
