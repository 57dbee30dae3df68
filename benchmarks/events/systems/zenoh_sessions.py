"""zenoh: sessions of its Python API (Rust below), as peers or with a router between them."""

# ruff: noqa: PLC0415 - every process imports what it needs, and a rival may not be there
from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.events.message import SUBJECT, codec
from benchmarks.events.processes import Broker, first_line, free_port, program
from benchmarks.events.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.events.message import Codec, Message, Plan

_WAITING = 4096
"""Samples in the channel between zenoh's threads and Python's."""
_SETTLE = 1.0
"""Seconds for declarations to reach everybody; nobody confirms them."""


class Zenoh(System):
    """Subscribers read a channel: a direct callback takes three times as long.

    `put` blocks when its queue is full (the default is to drop).
    """

    gives_up = (
        "no acknowledgement; nothing is kept after the publisher has gone; no bounds or policies"
        " per subscriber; key expressions instead of regular ones; bytes"
    )

    def __init__(self, *, router: bool = False, coded: Codec = "msgpack") -> None:
        self.router = router
        self.coded = coded
        self.needs = ("zenoh", coded)
        kind = "router" if router else "peers"
        own = [coded] * (coded != "msgpack")
        self.name = "-".join(["zenoh", kind, *own])
        self.title = ", ".join(["zenoh", kind, "channel", *own])

    @contextlib.contextmanager
    def broker(self, directory: Path) -> Iterator[Broker]:
        endpoint = f"tcp/127.0.0.1:{free_port()}"
        if not self.router:
            yield Broker(endpoint, None)
            return
        with program([sys.executable, __file__, endpoint], directory) as router:
            yield Broker(first_line(router), router.pid)

    def publish(self, address: str, plan: Plan) -> None:
        import zenoh

        if self.router:
            session = _session("client", connect=[address])
        else:
            session = _session("peer", listen=[address])
        publisher = session.declare_publisher(
            SUBJECT, congestion_control=zenoh.CongestionControl.BLOCK
        )
        time.sleep(_SETTLE)
        put, (encode, _) = publisher.put, codec(self.coded)
        for message in plan:
            put(encode(message))

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        import zenoh

        session = _session("client" if self.router else "peer", connect=[address])
        subscriber = session.declare_subscriber(SUBJECT, zenoh.handlers.FifoChannel(_WAITING))
        ready()
        _, decode = codec(self.coded)
        for sample in subscriber:
            take(decode(sample.payload.to_bytes()))


def _session(mode: str, listen: list[str] | None = None, connect: list[str] | None = None) -> Any:
    import zenoh

    retry = {"period_init_ms": 50, "period_max_ms": 100, "period_increase_factor": 1}
    settings = {
        "mode": mode,
        "scouting": {"multicast": {"enabled": False}, "gossip": {"enabled": False}},
        "listen": {"endpoints": listen or []},
        "connect": {
            "endpoints": connect or [],
            "timeout_ms": -1,
            "exit_on_failure": False,
            "retry": retry,
        },
    }
    return zenoh.open(zenoh.Config.from_json5(json.dumps(settings)))


def route(endpoint: str) -> None:
    """Run as the router."""
    session = _session("router", listen=[endpoint])
    print(endpoint, flush=True)
    threading.Event().wait()
    session.close()


if __name__ == "__main__":
    route(sys.argv[1])
