"""The manager's end of a service's control socket: questions and answers as JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ANSWER_TIMEOUT = 2.0
"""Seconds for what a service answers at once."""
READ_SIZE = 1 << 18
LAST_READS = 64
"""The maximum number of reads at the end."""
LONGEST_ANSWER = 1 << 24
"""Bytes; enough for a list of a hundred thousand subscriptions."""

log = logging.getLogger(__name__)


class RequestRefused(OSError):
    """The service answered with an error."""


class ControlLink:
    """Asks a service and returns each answer to its question.

    The service inherits the `remote` end; `release_remote` then closes our copy. `fd` is our end of
    a pair that another manager created.
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
        """Answers to another manager's questions may still arrive."""
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.on_report: Callable[[Mapping[str, Any]], None] = lambda _: None
        """Called with what the service tells of its own accord, in order with the answers."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._local, self._read)

    def release_remote(self) -> None:
        """Close our copy of the service's end, so that each end notices when the other closes."""
        self.remote.close()

    def fileno(self) -> int:
        """Return the descriptor of our end."""
        return self._local.fileno()

    async def ask(self, question: str, max_wait: float, **parameters: object) -> Any:
        """Return the answer; raise OSError if there is none: TimeoutError, RequestRefused, …."""
        self._last_id += 1
        number = self._last_id
        line = json.dumps({"id": number, "ask": question, **parameters}).encode() + b"\n"
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(max_wait):
                self._local.send(line)  # a question is short: it fits the socket's buffer or fails
                return await answer
        finally:
            self._waiting.pop(number, None)

    def drain(self) -> None:
        """Take what has arrived so far; bounded."""
        for _ in range(LAST_READS):
            if self._local.fileno() < 0 or not self._read():
                return

    def _read(self) -> bool:
        """Take what has arrived; return False if there was nothing."""
        try:
            data = self._local.recv(READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._stop_reading()
            return False
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._receive(line)
        if len(self._buffer) > LONGEST_ANSWER:
            log.error("dropped a service's answer of more than %d bytes", LONGEST_ANSWER)
            self._stop_reading()
        return True

    def _receive(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            report = message if "report" in message else None
            future = None if report else self._waiting.get(message["id"])
        except (ValueError, KeyError, TypeError):
            log.warning("a service sent a malformed answer: %.200r", line)
            return
        if report is not None:
            self.on_report(report)
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
        """Take what has arrived, and close our end; open questions get ConnectionResetError."""
        self.drain()
        with contextlib.suppress(ValueError, OSError):
            self._stop_reading()
        self._local.close()
