"""Redis: redis-server, and redis-py for its clients."""

# ruff: noqa: PLC0415 - every process imports what it needs, and a rival may not be there
from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from benchmarks.events.message import SUBJECT, decode, encode
from benchmarks.events.processes import Broker, await_port, free_port, program
from benchmarks.events.sockets import open_idle
from benchmarks.events.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.events.message import Message, Plan

_PIPELINE = 100
"""Messages in one pipeline."""


class Redis(System):
    """`acked` makes each message a call of its own; otherwise they go in pipelines.

    The address is a port, or the path of a Unix socket.
    """

    needs = ("redis", "hiredis")
    program = "redis-server"
    gives_up = (
        "what a subscriber misses while it is away, or when its buffer is full, is lost silently;"
        " bytes; globs instead of expressions"
    )

    def __init__(self, *, acked: bool = False, unix: bool = False) -> None:
        self.acked = acked
        self.unix = unix
        self.name = "redis" + ("-unix" if unix else "") + ("-publish" if acked else "")
        self.title = "Redis" + (", Unix socket" if unix else "")

    @contextlib.contextmanager
    def broker(self, directory: Path) -> Iterator[Broker]:
        port = 0 if self.unix else free_port()
        path = str(directory / "socket")
        argv = [self.executable(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        with program([*argv, *(["--unixsocket", path] if self.unix else [])], directory) as server:
            await_port(server, path if self.unix else port)
            yield Broker(path if self.unix else str(port), server.pid)

    def publish(self, address: str, plan: Plan) -> None:
        client = _client(address)
        client.ping()
        if self.acked or plan.rate:
            for message in plan:
                client.publish(SUBJECT, encode(message))
            return
        pipeline = client.pipeline(transaction=False)
        for number, message in enumerate(plan, 1):
            pipeline.publish(SUBJECT, encode(message))
            if not number % _PIPELINE:
                pipeline.execute()
        pipeline.execute()

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        channel = _client(address).pubsub()
        channel.subscribe(SUBJECT)
        for item in channel.listen():
            if item["type"] == "message":
                take(decode(item["data"]))
            else:
                ready()

    def idle(self, address: str, number: int) -> object:
        requests = (f"SUBSCRIBE idle.{each}\r\n".encode() for each in range(number))
        return open_idle(int(address), requests, lambda answer: answer.endswith(b":1\r\n"))

    def patterns(self, address: str, number: int) -> object:
        channel = _client(address).pubsub()
        channel.psubscribe(*(f"none.{each}.*" for each in range(number)))
        for _ in range(number):
            channel.get_message(timeout=1)
        return channel


def _client(address: str) -> Any:
    import redis

    if address.isdecimal():
        return redis.Redis(port=int(address))
    return redis.Redis(unix_socket_path=address)
