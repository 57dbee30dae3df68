"""Mutated requests and packets for what only programs of the deployment talk to."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.fault import Effect, Fault, NotSurvived
from tests.faults.fuzz import mutation
from tests.faults.fuzz.sending import BYTES, pieces, send, unharmed
from tests.faults.fuzz.servers import service
from tests.harness import Deployment

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

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


def control_channel(total: int) -> Callable[[None, Random], Effect]:
    """Return a fault that asks the event service nonsense over its control channel."""

    def inject(_scene: None, chance: Random) -> Effect:
        make = mutation.lines(_ASKS)
        with service("es") as started:
            started.ready()
            with unharmed(started.process.pid):
                for piece in pieces(make, chance, total):
                    started.control.sendall(piece)
                    _discard(started.control)
                _discard(started.control, b'"last"')
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
                    for piece in pieces(make, chance, total):
                        sock = socket.socket(socket.AF_UNIX)
                        sock.connect(deployment.paths().socket)
                        send(sock, piece)
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


FAULTS = [
    Fault(f"fuzz: {name}", make(BYTES), "alone")
    for name, make in (
        ("asking es over its control channel", control_channel),
        ("requests to the manager", manager),
        ("packets for fdstore", descriptor_store),
    )
]
