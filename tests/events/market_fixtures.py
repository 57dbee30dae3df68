"""What the tests of the reconnecting proxy share: a market to call, a proxy that records."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyro_events import ReconnectingProxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyro_events.types import ProxyNotice
    from tests.events.service_harness import Process

MARKET = """
import os, sys, threading, time
import Pyro5.api
from Pyro5.errors import SerializeError

class Market:
    def __init__(self):
        self.calls = []
        self._limit = 7
    @Pyro5.api.expose
    def price(self, symbol):
        return [symbol, os.getpid()]
    @Pyro5.api.expose
    def order(self, what):
        self.calls.append(what)
        return len(self.calls)
    @Pyro5.api.expose
    def ordered(self):
        return self.calls
    @Pyro5.api.expose
    def hang(self, flag):
        self.calls.append("hang")
        while not os.path.exists(flag):
            time.sleep(0.01)
        return os.getpid()
    @Pyro5.api.expose
    def fail(self, how):
        self.calls.append(how)
        raise SerializeError("of mine") if how == "serialize" else KeyError(how)
    @Pyro5.api.expose
    @Pyro5.api.oneway
    def tell(self, what):
        self.calls.append(what)
    @Pyro5.api.expose
    def tape(self):
        yield from "abc"
    @Pyro5.api.expose
    def close(self):
        return "the market closes"
    @Pyro5.api.expose
    @property
    def limit(self):
        return self._limit
    @limit.setter
    def limit(self, value):
        self._limit = value

port, name_server = int(sys.argv[1]), sys.argv[2]
daemon = Pyro5.api.Daemon(host="127.0.0.1", port=port)
uri = daemon.register(Market(), "market")
if name_server != "-":
    host, _, port = name_server.partition(":")
    Pyro5.api.locate_ns(host, int(port)).register("stocks.market", uri)
print(uri, flush=True)
daemon.requestLoop()
"""
NAME_SERVER_AT = """
import sys
from Pyro5.nameserver import start_ns
uri, daemon, broadcast = start_ns("localhost", int(sys.argv[1]), enableBroadcast=False)
print(uri.location, flush=True)
daemon.requestLoop()
"""


class Market:
    """A stock Pyro5 daemon in a process of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.uri = process.first_line.strip()
        self.port = int(self.uri.rpartition(":")[2])
        self.pid = process.pid

    def kill(self) -> None:
        self._process.signal(signal.SIGKILL)
        self._process.end()

    def stop_breathing(self) -> None:
        self._process.signal(signal.SIGSTOP)


class Watched(ReconnectingProxy):
    """Records the notices that its hooks receive."""

    def __init__(self, uri: str, **options: Any) -> None:
        self._notices: list[ProxyNotice] = []
        super().__init__(uri, **options)

    def connected(self, notice: ProxyNotice) -> None:
        self._notices.append(notice)

    def disconnected(self, notice: ProxyNotice) -> None:
        self._notices.append(notice)

    def kinds(self) -> list[str]:
        return [notice["kind"] for notice in self._notices]


@contextmanager
def background(call: Callable[..., Any], *args: Any) -> Iterator[Any]:
    """Call in a thread; yields the future of the answer."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call, *args)


def await_hanging(uri: str) -> None:
    """Wait until a call of hang() has begun."""
    with ReconnectingProxy(uri) as other:
        eventually(lambda: "hang" in other.ordered())
