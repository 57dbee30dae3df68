"""The manager's end of a service's control socket: questions and answers as JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from typing import Any

READ_SIZE = 1 << 18
LONGEST_ANSWER = 1 << 24
"""Bytes; a list of a hundred thousand subscriptions fits."""

log = logging.getLogger(__name__)


class RequestRefused(OSError):
    """The service answered that it doesn't answer that."""


class ControlLink:
    """Asks a service and hands each answer to whoever asked.

    `remote` is the service's end, to be inherited by it and then let go with `release_remote`.
    `fd` is our end of a pair that another manager has made.
    """

    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            self._local, self.remote = socket.socketpair()
        else:
            self._local, self.remote = socket.socket(fileno=fd), socket.socket()
            self.remote.close()
        self._local.setblocking(False)
        self._buffer = b""
        self._last_id = 0 if fd is None else time.monotonic_ns()
        """Answers to another manager's questions may still come."""
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._local, self._read)

    def release_remote(self) -> None:
        """Close our copy of the service's end, so that both ends notice when the other is gone."""
        self.remote.close()

    def fileno(self) -> int:
        """Give our end's descriptor."""
        return self._local.fileno()

    async def ask(self, question: str, patience: float, parameters: dict[str, object]) -> Any:
        """Ask, and give the answer; raises OSError (TimeoutError is one) when there is none."""
        self._last_id += 1
        number = self._last_id
        line = json.dumps({"id": number, "ask": question, **parameters}).encode() + b"\n"
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(patience):
                self._local.send(line)  # a question is short: it fits the socket's buffer or fails
                return await answer
        finally:
            self._waiting.pop(number, None)

    def _read(self) -> None:
        try:
            data = self._local.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._stop_reading()
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._buffer) > LONGEST_ANSWER:
            log.error("a service's answer is longer than %d bytes: dropped", LONGEST_ANSWER)
            self._stop_reading()

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            future = self._waiting.get(message["id"])
        except (ValueError, KeyError, TypeError):
            log.warning("a service sent what is no answer: %.200r", line)
            return
        if future is not None and not future.done():
            if "answer" in message:
                future.set_result(message["answer"])
            else:
                future.set_exception(RequestRefused(str(message.get("error", "refused"))))

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._local)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("it closed its control socket"))

    def close(self) -> None:
        """End it; who still waits for an answer gets ConnectionResetError."""
        with contextlib.suppress(ValueError, OSError):
            self._stop_reading()
        self._local.close()
