"""Services go on while nobody reads their log: a stopped manager, a full pipe."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import msgpack
import pytest
from Pyro5.client import Proxy

from pyro_wire import framing
from tests.events.service_harness import WireClient
from tests.harness import eventually
from tests.real.managed import WAIT
from tests.real.test_stranger_messages import Service

if TYPE_CHECKING:
    from tests.harness import Deployment

PING = framing.encode_frame(framing.PING, framing.MSGPACK, 0, 0, b"ping")
GREETING = {"handshake": "v1:1:nonce:wrong", "object": "Pyro.EventService"}
CONNECT = framing.encode_frame(framing.CONNECT, framing.MSGPACK, 0, 0, msgpack.packb(GREETING))

CONFIGURATION = """
[services.es]
kind = "eventservice"
ident_file = "ident"
needs = ["ns"]

[services.ns]
kind = "nameserver"
port = 0
"""
REFUSED = 6_000
"""A line for each would fill the pipe of 256 KiB."""


def port_of(deployment: Deployment, name: str) -> int:
    return int(deployment.service(name)["uri"].rpartition(":")[2])


def be_refused(port: int, message: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), WAIT) as sock:
        sock.sendall(message)
        with contextlib.suppress(ConnectionError):
            sock.recv(1000)


@pytest.mark.timeout(120)
def test_the_event_service_serves_while_its_manager_is_stopped(deployment: Deployment) -> None:
    """However many clients are refused, a healthy pair's events arrive."""
    ident = deployment.root / "ident"
    ident.write_text("secret")
    ident.chmod(0o600)
    deployment.configure(CONFIGURATION)
    deployment.run("start")
    port, pid = port_of(deployment, "es"), deployment.manager_pid()
    with WireClient(port) as publisher, WireClient(port) as subscriber:
        for client in (publisher, subscriber):
            client.identify("secret")
        subscriber.attach("healthy", ["a"])
        os.kill(pid, signal.SIGSTOP)
        try:
            for number in range(REFUSED // 50):
                for _ in range(50):
                    with socket.create_connection(("127.0.0.1", port), WAIT) as sock:
                        sock.sendall(CONNECT)
                began = time.monotonic()
                publisher.start("publish", "a", number, flags=framing.ONEWAY)
                ((_, _, body, _),) = subscriber.events(1)
                assert msgpack.unpackb(body) == number
                assert time.monotonic() - began < 4
        finally:
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: "wrong identification" in deployment.run("logs", "es").stdout)


@pytest.mark.parametrize("name", ["names", "hosted"])
def test_pyro_daemons_serve_while_nobody_reads_their_log(name: str) -> None:
    """What Pyro5 logs about strangers doesn't stop the service, either."""
    with contextlib.closing(Service(name)) as service:
        for _ in range(2000):
            be_refused(service.port, PING)
        with Proxy(f"PYRO:Pyro.Daemon@127.0.0.1:{service.port}") as proxy:
            proxy._pyroTimeout = 5
            proxy.ping()
        assert service.ask("statistics")["answer"]["connections"] >= 0
