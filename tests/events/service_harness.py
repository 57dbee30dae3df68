"""What the tests of the event service share: stock daemons, a bare client, processes."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import msgpack
import Pyro5.api
import Pyro5.server
from Pyro5 import config
from Pyro5.serializers import serializers_by_id

from pyro_events._broker.delivery.items import singles
from pyro_events._broker.engine import Engine
from pyro_events._broker.settings import Settings
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events.ident import identified, own_secret
from pyro_wire import framing
from pyro_wire.challenge import Challenge
from tests.harness import eventually, is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyro_events.types import EventServiceStatistics, SubscriberInfo

ROOT = Path(__file__).parents[2]
STRANGER = "127.0.0.2"
"""Whoever connects from there is another client, of the same user."""
SERIALIZERS = ("serpent", "json", "msgpack")


class Running:
    """An engine on a thread, with all the settings open to the test."""

    def __init__(self, **settings: Any) -> None:
        self.engine = Engine("localhost", 0, replace(Settings(), **settings), "0.test")
        self.thread = threading.Thread(target=self.engine.run)
        self.thread.start()

    @property
    def uri(self) -> str:
        return self.engine.uri

    @property
    def port(self) -> int:
        return int(self.uri.rpartition(":")[2])

    def statistics(self) -> EventServiceStatistics:
        return self.engine.ask(self.engine.statistics).result(5)

    def subscriptions(self) -> list[SubscriberInfo]:
        return self.engine.ask(self.engine.subscriptions).result(5)

    def subscriber(self) -> SubscriberInfo:
        (only,) = self.subscriptions()
        return only

    def stop(self) -> None:
        self.engine.stop("end of the test")
        self.thread.join(10)
        assert not self.thread.is_alive()


@Pyro5.api.expose
class Recorder:
    """A stock subscriber that records its events."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.threads: set[int] = set()
        self.running = 0
        self.overlaps = 0
        self.hook: Callable[[Any], object] = lambda event: None

    def event(self, event: Any) -> None:
        self.running += 1
        self.overlaps += self.running > 1
        try:
            self.hook(event)
            self.events.append(event)
        finally:
            self.running -= 1

    def messages(self) -> list[Any]:
        return [event.msg for event in self.events]


@Pyro5.api.expose
class AwareRecorder(Recorder):
    """One that receives notices about the event service's life cycle."""

    def __init__(self) -> None:
        super().__init__()
        self.notices: list[Any] = []

    def es_notice(self, notice: Any) -> None:
        self.notices.append(notice)


class StockDaemon:
    """A stock Pyro5 daemon on a thread of the test's process."""

    def __init__(self, server_type: str = "thread", port: int = 0) -> None:
        before, config.SERVERTYPE = config.SERVERTYPE, server_type
        try:
            self.daemon = Pyro5.server.Daemon(host="localhost", port=port)
        finally:
            config.SERVERTYPE = before
        self.thread = threading.Thread(target=self.daemon.requestLoop)
        self.thread.start()

    def register(self, obj: object, object_id: str | None = None) -> str:
        return str(self.daemon.register(obj, object_id))

    @property
    def port(self) -> int:
        return int(self.daemon.locationStr.rpartition(":")[2])

    def close(self) -> None:
        """Stop, and cut the connections, which Pyro5 itself doesn't."""
        server = self.daemon.transportServer
        pool = getattr(server, "pool", None)
        workers = list(pool.busy) if pool else []
        connections = [worker.job.csock for worker in workers if worker.job]
        self.daemon.shutdown()
        for connection in connections:
            connection.close()
        self.thread.join(10)
        assert not self.thread.is_alive()


@contextmanager
def proxy(
    uri: str, serializer: str = "serpent", handshake: object = "hello", ident: str | None = None
) -> Iterator[Any]:
    with Pyro5.api.Proxy(uri) as made:
        made._pyroSerializer = serializer
        made._pyroHandshake = handshake
        if ident is not None:
            identified(made, ident=ident)
        made._pyroTimeout = 20
        yield made


class WireClient:
    """A client that speaks the wire protocol itself, step by step."""

    def __init__(self, port: int, sock: socket.socket | None = None) -> None:
        self.sock = sock or socket.create_connection(("127.0.0.1", port), 10)
        self.reader = framing.FrameReader(1 << 30)
        self.pushes: list[tuple[int | None, Any]] = []
        self.answers: dict[int, framing.Frame] = {}
        self.seqs = itertools.cycle(range(1, 1 << 16))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(
        self, kind: int, data: bytes, flags: int = 0, seq: int = 0, serializer: int = 4
    ) -> None:
        self.sock.sendall(framing.encode_frame(kind, serializer, flags, seq, data))

    def frame(self, timeout: float = 10) -> framing.Frame | None:
        """Return the next frame, None at the end of the connection."""
        self.sock.settimeout(timeout)
        while (found := self.reader.next_frame()) is None:
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionError:
                return None
            if not data:
                return None
            self.reader.feed(data)
        return found

    def greet(self, data: object = None, target: str = EVENTSERVICE_NAME) -> framing.Frame:
        greeting = data or {"pyro_events": 2, "role": "subscriber"}
        self.send(framing.CONNECT, msgpack.packb({"handshake": greeting, "object": target}))
        answer = self.frame()
        assert answer is not None
        return answer

    def identify(self, ident: str, **wishes: object) -> framing.Frame:
        """Greet, and prove to have the identification; return the last answer."""
        begun, key = self.ask_challenge(ident, **wishes)
        return self.prove(begun.client_proof(key))

    def ask_challenge(self, ident: str, **wishes: object) -> tuple[Challenge, bytes]:
        """Greet; return what is to be proved, and the key."""
        secret = own_secret(ident)
        hello = {"pyro_events": 2, "role": "subscriber", "name": secret.name, "nonce": "a" * 64}
        answer = self.greet(hello | wishes)
        assert answer.type == framing.CONNECTOK, answer.data
        told = msgpack.unpackb(answer.data)["handshake"]
        begun = Challenge(secret.name, "a" * 64, told["nonce"], told["incarnation"])
        assert told["proof"] == begun.server_proof(secret.key)
        return begun, secret.key

    def prove(self, proof: object) -> framing.Frame:
        """Send a proof; return the answer."""
        data = msgpack.packb([EVENTSERVICE_NAME, "authenticate", [proof], {}])
        self.send(framing.INVOKE, data)
        found = self.frame()
        assert found is not None
        return found

    def start(self, method: str, *args: object, flags: int = 0, **options: Any) -> int:
        seq = next(self.seqs)
        data = msgpack.packb([EVENTSERVICE_NAME, method, args, options])
        self.send(framing.INVOKE, data, flags, seq)
        return seq

    def finish(self, seq: int) -> Any:
        """Return the answer to a call; pushes that come before are kept."""
        while seq not in self.answers:
            frame = self.frame()
            assert frame is not None, "the connection has ended"
            self._keep(frame)
        answer = self.answers.pop(seq)
        value = serializers_by_id[4].loads(answer.data)
        if answer.flags & framing.EXCEPTION:
            raise value
        return value

    def call(self, method: str, *args: object, **options: Any) -> Any:
        return self.finish(self.start(method, *args, **options))

    def attach(
        self, subscriber_id: str, subjects: object = (), patterns: object = (), **options: Any
    ) -> Any:
        return self.call("attach", subscriber_id, subjects, patterns, options)

    def push(self, timeout: float = 10) -> tuple[int | None, Any]:
        """Return the next pushed frame: (first number, events), or (None, notice)."""
        while not self.pushes:
            frame = self.frame(timeout)
            assert frame is not None, "the connection has ended"
            self._keep(frame)
        return self.pushes.pop(0)

    def events(self, count: int, *, ack: bool = True) -> list[Any]:
        """Collect `count` events, checking that their numbers have no hole."""
        found: list[Any] = []
        while len(found) < count:
            first, events = self.push()
            assert first is not None, events
            found += events
            if ack:
                self.ack(first + len(events) - 1)
        assert len(found) == count
        return found

    def ack(self, number: int) -> None:
        self.send(framing.RESULT, number.to_bytes(8, "big"))

    def _keep(self, frame: framing.Frame) -> None:
        if frame.type == framing.PING:
            return
        if frame.type == framing.RESULT:
            self.answers[frame.seq] = frame
            return
        assert frame.type == framing.INVOKE
        assert frame.flags == framing.ONEWAY
        first, *count, events = msgpack.unpackb(frame.data)
        assert first is None or frame.data[1:2] == b"\xcf"
        if count:  # some of them are in runs
            events = list(map(list, singles(events)))
            assert len(events) == count[0]
        self.pushes.append((first, events))


class Process:
    """A Python program of the test's; its first line on stdout is waited for."""

    def __init__(
        self, *arguments: str, pass_fds: Sequence[int] = (), first_line: bool = True,
        **environment: str,
    ) -> None:  # fmt: skip
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYRO_")}
        env |= {"PYTHONPATH": f"{ROOT / 'services'}{os.pathsep}{ROOT}"} | environment
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            pass_fds=pass_fds,
        )
        self.pid = self.process.pid
        assert self.process.stdout is not None
        self.first_line = read_line(self.process.stdout) if first_line else ""

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            eventually(lambda: set(self._states()) == {b"T"}, "stopped")

    def _states(self) -> list[bytes]:
        stats = (task.read_bytes() for task in Path(f"/proc/{self.pid}/task").glob("*/stat"))
        return [stat.rpartition(b")")[2].split()[0] for stat in stats]

    def end(self, timeout: float = 10) -> tuple[int, str, str]:
        """Wait for its end; returns exit status, the rest of stdout, stderr."""
        out, err = self.process.communicate(timeout=timeout)
        assert not is_alive(self.pid)
        return self.process.returncode, out, err

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=10)


def read_line(stream: IO[str]) -> str:
    """Read a line and no byte more, so that nothing is missing from what is read later."""
    found = b""
    while not found.endswith(b"\n") and (byte := os.read(stream.fileno(), 1)):
        found += byte
    return found.decode()


STOCK_SUBSCRIBER = """
import sys, threading
import Pyro5.api
import pyro_events

@Pyro5.api.expose
class Recorder:
    def __init__(self):
        self.messages = []
    def event(self, event):
        self.messages.append(event.msg)
    def got(self):
        return self.messages

daemon = Pyro5.api.Daemon(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0)
print(daemon.register(Recorder(), "recorder"), flush=True)
daemon.requestLoop()
"""

NAME_SERVER = """
from Pyro5.nameserver import start_ns
uri, daemon, broadcast = start_ns("localhost", 0, enableBroadcast=False)
print(uri.location, flush=True)
daemon.requestLoop()
"""


def open_sockets() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Check that what runs inside leaves neither a thread nor a socket."""
    sockets, threads = open_sockets(), set(threading.enumerate())
    yield

    def left() -> list[object]:
        return [*(open_sockets() - sockets), *(set(threading.enumerate()) - threads)]

    end = time.monotonic() + 10
    while left() and time.monotonic() < end:
        time.sleep(0.01)
    assert not left()


Make = Callable[..., Running]
Stock = Callable[..., StockDaemon]
Connect = Callable[[Running], WireClient]
Start = Callable[..., Process]
