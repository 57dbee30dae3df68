"""Millions of mutated bytes for all that listens; afterwards it serves, and has not grown."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from Pyro5.client import Proxy

from pyro_events import Publisher, Subscriber
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events.errors import EventServiceError
from tests.faults import mutation
from tests.faults.fault import Effect, Fault, NotSurvived
from tests.faults.liar import LyingService
from tests.harness import Deployment, is_alive
from tests.real.managed import Managed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

BYTES = 600_000
"""For one injection of a fault."""
HELPER_BYTES = 50_000
"""A helper connects again only after a pause."""
_AT_ONCE = 1500
"""Bytes for one connection."""
_GROWTH = 40 << 20
_OBJECTS = {"es": EVENTSERVICE_NAME, "names": "Pyro.NameServer", "hosted": "counter"}
_PROGRAMS = {
    "es": ["pyro_events", "-N", "-q", "-p", "0"],
    "names": ["pyro_names", "--port", "0", "--host", "127.0.0.1"],
    "hosted": ["pyro_host", "programs:Counter", "--path", str(Path(__file__).parent)],
}
_ASKS: list[dict[str, Any]] = [
    {"id": 1, "ask": "statistics"},
    {"id": 2, "ask": "subscriptions"},
    {"id": 3, "ask": "ping"},
    {"id": 4, "ask": "announce", "subject": "pyroctl.lab.x.running", "message": {"state": "x"}},
    {"id": 5, "ask": "returned", "wait": 0.0},
    {"id": 6, "ask": "register"},
    {"id": 7, "ask": "names"},
]
_REQUESTS: list[dict[str, Any]] = [
    {"pyroctl": 1, "do": do, "args": {"services": ["x"], "wait": False}}
    for do in ("status", "start", "stop", "restart", "reload", "ping", "impact", "logs")
]
_PACKETS: list[dict[str, Any]] = [
    {"do": "hold", "name": "x/listen"},
    {"do": "hold", "name": "x/7/output"},
    {"do": "drop", "name": "x/listen"},
    {"do": "record", "service": "x", "value": {"pid": 7}},
    {"do": "log", "service": "x", "paths": ["/nonexistent/x", None], "spec": {"keep": 2}},
    {"do": "note", "service": "x", "text": "words"},
    {"do": "copy", "name": "x/7", "awaited": "ready (.*)"},
    {"do": "drain", "name": "x/7", "number": 3},
]


def _pieces(make: Callable[[Random], bytes], chance: Random, total: int) -> Iterator[bytes]:
    """Yield what one connection sends after the other, as many bytes as asked for in all."""
    while total > 0:
        piece = b""
        while len(piece) < min(_AT_ONCE, total):
            piece += make(chance)
        total -= len(piece)
        yield piece


def _send(sock: socket.socket, data: bytes) -> None:
    """Send, and read what is answered, until the peer has had enough."""
    sock.settimeout(5.0)
    with sock, contextlib.suppress(OSError):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 16):
            pass


def peak(pid: int) -> int:
    """Return the most memory that the process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


@contextlib.contextmanager
def unharmed(pid: int) -> Iterator[None]:
    """Check that the process outlives the context, and has neither grown nor kept descriptors."""
    before, files = peak(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))
    yield
    if not is_alive(pid):
        raise NotSurvived("the process has ended")
    if (grown := peak(pid) - before) > _GROWTH:
        raise NotSurvived(f"it has grown by {grown >> 20} MiB")
    end = time.monotonic() + 20
    while (now := len(list(Path(f"/proc/{pid}/fd").iterdir()))) > files + 2:
        if time.monotonic() > end:
            raise NotSurvived(f"it has {now} descriptors, {files} before")
        time.sleep(0.05)


def _service(name: str) -> contextlib.closing[Managed]:
    return contextlib.closing(Managed([sys.executable, "-P", "-m", *_PROGRAMS[name]], "/"))


def server(name: str, total: int) -> Callable[[None, Random], Effect]:
    """Return a fault that sends mutated frames to a service of ours."""

    def inject(_scene: None, chance: Random) -> Effect:
        objects = [_OBJECTS[name], "Pyro.Daemon"]
        makers, greetings = mutation.requests(objects), mutation.connects(objects)
        with _service(name) as service:
            service.ready()
            port = int(service.uri.rpartition(":")[2])
            host = "localhost" if name == "es" else "127.0.0.1"
            with unharmed(service.process.pid):
                for piece in _pieces(lambda chance: chance.choice(makers)(chance), chance, total):
                    greeting = chance.choice(greetings)
                    if chance.random() < 0.1:
                        greeting = mutation.mutate(greeting, chance)
                    _send(socket.create_connection((host, port), 5.0), greeting + piece)
                with Proxy(f"PYRO:Pyro.Daemon@{service.uri.rpartition('@')[2]}") as proxy:
                    proxy._pyroTimeout = 5
                    proxy.ping()
            return Effect(fuzzed=total)

    return inject


def control_channel(total: int) -> Callable[[None, Random], Effect]:
    """Return a fault that asks the event service nonsense over its control channel."""

    def inject(_scene: None, chance: Random) -> Effect:
        make = mutation.lines(_ASKS)
        with _service("es") as service:
            service.ready()
            with unharmed(service.process.pid):
                for piece in _pieces(make, chance, total):
                    service.control.sendall(piece)
                    _discard(service.control)
                _discard(service.control, b'"last"')
            return Effect(fuzzed=total)

    return inject


def _discard(sock: socket.socket, until: bytes = b"") -> None:
    """Read the answers there are; with `until`, ask something, and read until its answer."""
    if until:
        sock.sendall(json.dumps({"id": "last", "ask": "statistics"}).encode() + b"\n")
        seen = b""
        while until not in seen:
            data = sock.recv(1 << 16)
            if not data:
                raise NotSurvived("the control channel was closed")
            seen = seen[-10:] + data
    else:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while sock.recv(1 << 16):
                pass
        sock.settimeout(20)


def manager(total: int) -> Callable[[None, Random], Effect]:
    """Return a fault that sends mutated requests to a manager, and notifications for a service."""

    def inject(_scene: None, chance: Random) -> Effect:
        make = mutation.lines(_REQUESTS)
        with tempfile.TemporaryDirectory() as directory:
            deployment = Deployment(Path(directory))
            deployment.configure(
                '[services.x]\nkind = "command"\ncommand = ["sleep", "1000"]\n'
                'ready = { delay = 0 }\n'
            )  # fmt: skip
            deployment.run("start")
            try:
                pid = deployment.manager_pid()
                with unharmed(pid):
                    for piece in _pieces(make, chance, total):
                        sock = socket.socket(socket.AF_UNIX)
                        sock.connect(deployment.paths().socket)
                        _send(sock, piece)
                    if deployment.manager_pid() != pid:
                        raise NotSurvived("another manager answers")
                if "Traceback" in deployment.manager_log():
                    raise NotSurvived(deployment.manager_log()[-2000:])
            finally:
                deployment.close()
        return Effect(fuzzed=total)

    return inject


def descriptor_store(total: int) -> Callable[[None, Random], Effect]:
    """Return a fault that sends the descriptor store mutated packets, with descriptors."""

    def inject(_scene: None, chance: Random) -> Effect:
        make = mutation.lines(_PACKETS)
        with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
            address = str(Path(directory) / "sock")
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            listener.bind(address)
            listener.listen()
            command = [sys.executable, "-m", "pyroctl.manager.fdstore.server"]
            store = subprocess.Popen(
                [*command, str(listener.fileno())],
                pass_fds=[listener.fileno()], stderr=subprocess.PIPE,
            )  # fmt: skip
            stack.callback(store.communicate)
            stack.callback(store.kill)
            keep, child = _lasting(stack), subprocess.Popen(["sleep", "1000"])
            stack.callback(child.wait)
            stack.callback(child.kill)
            hold = json.dumps({"do": "hold", "name": f"y/{child.pid}/control"}).encode() + b"\n"
            with _connected(address) as first:  # what it has to hold keeps it alive
                socket.send_fds(first, [hold], [keep])
                first.send(json.dumps({"do": "drain", "name": "y/1", "number": 1}).encode() + b"\n")
                while b"drained" not in first.recv(1000):
                    pass
                with unharmed(store.pid):
                    _send_packets(address, make, chance, total, keep)
                    with _connected(address) as last:
                        if b'"keeper"' not in last.recv(1 << 18):
                            raise NotSurvived("the descriptor store doesn't greet a manager")
        return Effect(fuzzed=total)

    return inject


def _lasting(stack: contextlib.ExitStack) -> int:
    ours, theirs = socket.socketpair()
    stack.enter_context(ours)
    return stack.enter_context(theirs).fileno()


def _connected(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(5.0)
    sock.connect(address)
    return sock


def _send_packets(
    address: str, make: Callable[[Random], bytes], chance: Random, total: int, descriptor: int
) -> None:
    while total > 0:
        with _connected(address) as sock, contextlib.suppress(OSError):
            for _ in range(20):
                packet = make(chance) + chance.randbytes(chance.choice((0, 0, 9)))
                fds = [descriptor] * chance.choice((0, 0, 1, 4))
                socket.send_fds(sock, [packet], fds)
                total -= len(packet)


def helpers(total: int) -> Callable[[None, Random], Effect]:
    """Return a fault that lets a publisher and a subscriber meet a lying event service."""

    def inject(_scene: None, chance: Random) -> Effect:
        with LyingService(chance) as liar, unharmed(os.getpid()):
            while liar.sent < total:
                with (
                    contextlib.suppress(EventServiceError),
                    Publisher(liar.uri, timeout=0.2) as pub,
                ):
                    pub.publish("a", 1)
                with contextlib.suppress(EventServiceError), _Brief(liar.uri) as sub:
                    sub.subscribe("a")
                    threading.Timer(0.1, sub.abort).start()
                    sub.listen()
        return Effect(fuzzed=liar.sent)

    return inject


class _Brief(Subscriber):
    """Takes anything, and gaps."""

    def event(self, event: object) -> None:
        """Take it."""

    def gap(self, notice: object) -> None:
        """Take that, too."""


_FUZZED = {
    "frames for es": lambda total: server("es", total),
    "frames for ns": lambda total: server("names", total),
    "frames for an object": lambda total: server("hosted", total),
    "asking es over its control channel": control_channel,
    "requests to the manager": manager,
    "packets for fdstore": descriptor_store,
}

FAULTS = [
    *(Fault(f"fuzz: {name}", make(BYTES), "alone") for name, make in _FUZZED.items()),
    Fault("fuzz: answers to helpers", helpers(HELPER_BYTES), "alone"),
]
