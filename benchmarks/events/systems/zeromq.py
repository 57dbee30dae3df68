"""ZeroMQ: a process with XSUB and XPUB between publishers and subscribers."""

# ruff: noqa: PLC0415 - every process imports what it needs, and a rival may not be there
from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.events.message import SUBJECT, decode, encode
from benchmarks.events.processes import Broker, first_line, program
from benchmarks.events.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.events.message import Message, Plan

_TOPIC = SUBJECT.encode()
_SETTLE = 0.3
"""Seconds for subscriptions to travel through the proxy; nobody confirms them."""


class ZeroMQ(System):
    """`bounded` keeps the default high-water mark of 1000, where messages are thrown away."""

    needs = ("zmq",)

    def __init__(self, *, bounded: bool = False) -> None:
        self.bounded = bounded
        self.name = "zeromq" + ("-hwm" if bounded else "")
        self.title = "ZeroMQ" + (", default high-water mark" if bounded else "")

    @contextlib.contextmanager
    def broker(self, directory: Path) -> Iterator[Broker]:
        with program([sys.executable, __file__, str(self._mark())], directory) as proxy:
            yield Broker(first_line(proxy), proxy.pid)

    def publish(self, address: str, plan: Plan) -> None:
        import zmq

        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
        socket.sndhwm = self._mark()
        socket.connect(address.split(maxsplit=1)[0])
        time.sleep(_SETTLE)
        for message in plan:
            socket.send_multipart((_TOPIC, encode(message)))

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        import zmq

        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        socket.rcvhwm = self._mark()
        socket.connect(address.split()[1])
        socket.subscribe(_TOPIC)
        time.sleep(_SETTLE)
        ready()
        receive = socket.recv_multipart
        while True:
            take(decode(receive()[1]))

    def idle(self, address: str, number: int) -> object:
        sockets = [self._subscribed(address, [f"idle.{each}"]) for each in range(number)]
        time.sleep(_SETTLE + number / 2500)
        return sockets

    def patterns(self, address: str, number: int) -> object:
        return self._subscribed(address, [f"none.{each}." for each in range(number)])

    def _subscribed(self, address: str, prefixes: list[str]) -> Any:
        import zmq

        context: zmq.Context[Any] = zmq.Context.instance()
        context.set(zmq.MAX_SOCKETS, 10_000)
        socket = context.socket(zmq.SUB)
        socket.connect(address.split()[1])
        for text in prefixes:
            socket.subscribe(text.encode())
        return socket

    def _mark(self) -> int:
        return 1000 if self.bounded else 0


def proxy(mark: int) -> None:
    """Run as the broker."""
    import zmq

    context = zmq.Context()

    def bound(kind: Any) -> Any:
        socket = context.socket(kind)
        socket.sndhwm = socket.rcvhwm = mark
        socket.bind("tcp://127.0.0.1:*")
        return socket

    front, back = bound(zmq.XSUB), bound(zmq.XPUB)
    print(front.last_endpoint.decode(), back.last_endpoint.decode(), flush=True)
    zmq.proxy(front, back)


if __name__ == "__main__":
    proxy(int(sys.argv[1]))
