"""ZeroMQ: PUB and SUB, with a process of XSUB and XPUB between them, or without."""

# ruff: noqa: PLC0415 - every process imports what it needs, and a rival may not be there
from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.events.message import SUBJECT, codec
from benchmarks.events.processes import Broker, first_line, program
from benchmarks.events.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.events.message import Codec, Message, Plan

_TOPIC = SUBJECT.encode()
_HEAD = _TOPIC + b"\0"
_SETTLE = 0.3
"""Seconds for subscriptions to travel through the proxy; nobody confirms them."""
_MEET = 1.0
"""Seconds for subscribers to find a publisher without a proxy."""
_GIVES_UP = (
    "no acknowledgement; {limit}; what is sent before a subscription arrives, or while the proxy"
    " restarts, is lost silently; prefixes instead of expressions; bytes"
)
_UNLIMITED = "a slow subscriber costs memory without bound"


class ZeroMQ(System):
    """At its best over Unix sockets (ipc) with subject and payload in a single frame.

    `bounded` keeps the default high-water mark of 1000, where messages are thrown away; `single`
    is ZeroMQ at its best; `direct` is that without the proxy: the publisher listens.
    """

    def __init__(
        self,
        *,
        bounded: bool = False,
        single: bool = False,
        direct: bool = False,
        coded: Codec = "msgpack",
    ) -> None:
        self.bounded = bounded
        self.single = single or direct
        self.direct = direct
        self.coded = coded
        self.needs = ("zmq", coded)
        words = ["hwm"] * bounded + ["single"] * (single and not direct) + ["direct"] * direct
        self.name = "-".join(["zeromq", *words, *([coded] * (coded != "msgpack"))])
        how = ["default high-water mark"] * bounded
        how += ["direct" if direct else "proxy", "ipc", "single frame"] * self.single
        how += [coded] * (coded != "msgpack")
        self.title = ", ".join(["ZeroMQ", *how])
        limit = "beyond 1000 waiting, messages are lost silently" if bounded else _UNLIMITED
        self.gives_up = _GIVES_UP.format(limit=limit)

    @contextlib.contextmanager
    def broker(self, directory: Path) -> Iterator[Broker]:
        ends = [f"ipc://{directory}/{end}" if self.single else "tcp://127.0.0.1:*" for end in "ab"]
        if self.direct:
            yield Broker(f"{ends[0]} {ends[0]}", None)
            return
        with program([sys.executable, __file__, str(self._mark()), *ends], directory) as proxy:
            yield Broker(first_line(proxy), proxy.pid)

    def publish(self, address: str, plan: Plan) -> None:
        import zmq

        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
        socket.sndhwm = self._mark()
        end = address.split(maxsplit=1)[0]
        if self.direct:
            socket.bind(end)
            time.sleep(_MEET)
        else:
            socket.connect(end)
            time.sleep(_SETTLE)
        encode, _ = codec(self.coded)
        if self.single:
            for message in plan:
                socket.send(_HEAD + encode(message))
            return
        for message in plan:
            socket.send_multipart((_TOPIC, encode(message)))

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        import zmq

        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        socket.rcvhwm = self._mark()
        socket.reconnect_ivl = 20
        socket.connect(address.split()[1])
        socket.subscribe(_TOPIC)
        time.sleep(_SETTLE)
        ready()
        _, decode = codec(self.coded)
        if self.single:
            start, one = len(_HEAD), socket.recv
            while True:
                take(decode(one()[start:]))
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


def proxy(mark: int, *ends: str) -> None:
    """Run as the broker."""
    import zmq

    context = zmq.Context()

    def bound(kind: Any, end: str) -> Any:
        socket = context.socket(kind)
        socket.sndhwm = socket.rcvhwm = mark
        socket.bind(end)
        return socket

    front, back = bound(zmq.XSUB, ends[0]), bound(zmq.XPUB, ends[1])
    print(front.last_endpoint.decode(), back.last_endpoint.decode(), flush=True)
    zmq.proxy(front, back)


if __name__ == "__main__":
    proxy(int(sys.argv[1]), *sys.argv[2:])
