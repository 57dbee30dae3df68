"""NATS: nats-server, and nats-py for its clients."""

# ruff: noqa: PLC0415 - every process imports what it needs, and a rival may not be there
from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from benchmarks.events.message import SUBJECT, decode, encode, make
from benchmarks.events.processes import Broker, await_port, free_port, program
from benchmarks.events.sockets import open_idle
from benchmarks.events.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.events.message import Message, Plan


class Nats(System):
    """`acked` waits for the server's answer to a ping after each message."""

    needs = ("nats",)
    program = "nats-server"

    def __init__(self, *, acked: bool = False) -> None:
        self.acked = acked
        self.name = "nats" + ("-publish" if acked else "")
        self.title = "NATS"

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
        import nats

        client = await nats.connect(address)
        plan.begin()
        for number in range(plan.count):
            if plan.rate:
                await asyncio.sleep(plan.pause(number))
            await client.publish(SUBJECT, encode(make(number)))
            if self.acked:
                await client.flush()
        await client.flush(60)

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        asyncio.run(_subscribe(address, ready, take))

    def idle(self, address: str, number: int) -> object:
        requests = (_request([f"idle.{each}"]) for each in range(number))
        return open_idle(_port(address), requests, _confirmed)

    def patterns(self, address: str, number: int) -> object:
        request = _request([f"none.{each}.*" for each in range(number)])
        return open_idle(_port(address), [request], _confirmed)


async def _subscribe(
    address: str, ready: Callable[[], None], take: Callable[[Message], None]
) -> None:
    import nats

    client = await nats.connect(address)

    async def arrived(message: Any) -> None:
        take(decode(message.data))

    await client.subscribe(SUBJECT, cb=arrived)
    await client.flush()
    ready()
    await asyncio.Event().wait()


def _request(subjects: list[str]) -> bytes:
    lines = [f"SUB {subject} {number}" for number, subject in enumerate(subjects, 1)]
    return "\r\n".join(["CONNECT {}", *lines, "PING", ""]).encode()


def _confirmed(answer: bytes) -> bool:
    return answer.endswith(b"PONG\r\n")


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
