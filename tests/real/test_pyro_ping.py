"""A ping by hand as of a Pyro client: which servers answer it, and which only seem alive."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroctl.core.spec import ObjectOptions
from pyroctl.manager.health.probes import _tls
from pyroctl.manager.health.pyro_ping import HEADER, MAGIC, Place, look_up, ping, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 20.0
"""Time-out for servers that answer; generous, because machines are busy."""


def asked(place: Place, patience: float = PATIENCE, **more) -> bool:
    return asyncio.run(ping(place, patience, **more))


@contextlib.contextmanager
def answering(data: bytes | None) -> Iterator[Place]:
    """A server that answers everything with that and hangs up, or never, if it is None."""
    with socket.create_server(("localhost", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                with client:
                    client.recv(4096)
                    if data is None:
                        client.recv(4096)  # until the other end has enough
                    else:
                        client.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Place("x", "localhost", listener.getsockname()[1])
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_an_object_answers_until_its_process_is_stopped(host, servertype):
    """This holds for every server type; the refusal for an unknown object is an answer."""
    hosted = host("things:Single", "--servertype", servertype)
    place = place_of(hosted.ready())
    assert asked(place)
    assert asked(place._replace(object_id="nobody"))
    os.kill(hosted.process.pid, signal.SIGSTOP)
    began = time.monotonic()
    assert not asked(place, 0.3)
    assert time.monotonic() - began < PATIENCE
    os.kill(hosted.process.pid, signal.SIGCONT)
    assert asked(place)


def test_a_port_without_a_listener_is_not_alive():
    """The refused connection is reported without waiting."""
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    assert not asked(Place("x", "localhost", port))
    assert not asked(Place("x", "", 0, "/nowhere/at/all"))


def test_silence_is_not_an_answer():
    """A server that accepts connections and sends nothing counts as hung."""
    with answering(None) as place:
        assert not asked(place, 0.2)


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_not_an_answer(garbage):
    """The probe of another kind of server returns an error, without a traceback."""
    with answering(garbage) as place:
        assert not asked(place)


def test_an_answer_that_claims_to_be_huge_is_not_awaited():
    """The manager does not read gigabytes."""
    header = HEADER.pack(b"PYRO", 502, 2, 3, 0, 0, 1 << 31, 0, bytes(16), 0, MAGIC)
    with answering(header + b"x" * 100) as place:
        assert not asked(place)
    assert HEADER.size == struct.calcsize("!4sHBBHHII16sHH") == 40


def test_a_name_leads_to_its_object(names):
    """It is the one registered at the moment; None without the name or name server."""
    where, proxy = names
    host, _, port = where.rpartition(":")
    proxy.register("lab.laser", "PYRO:laser@192.0.2.1:77")
    proxy.register("lab.local", "PYRO:local@./u:/tmp/some.sock")

    def found(name: str, at: int = int(port)) -> Place | None:
        return asyncio.run(look_up(name, host, at, PATIENCE))

    assert found("lab.laser") == Place("laser", "192.0.2.1", 77)
    assert found("lab.local") == Place("local", "", 0, "/tmp/some.sock")
    assert found("lab.nothing") is None
    with answering(b"nonsense") as place:
        assert found("lab.laser", place.port) is None


def test_addresses_of_all_kinds():
    """IPv6 in brackets and Unix sockets work."""
    assert place_of("PYRO:a@[::1]:9") == Place("a", "::1", 9)
    assert place_of("PYRO:a@b@lab.local:9") == Place("a@b", "lab.local", 9)
    assert place_of("PYRO:a@./u:/run/a") == Place("a", "", 0, "/run/a")


@pytest.mark.parametrize("required", [False, True])
def test_over_tls(host, tmp_path: Path, required: bool) -> None:
    """The certificate isn't checked; a server that requires ours refuses, and so is alive."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    files = ("--ssl-servercert", str(cert), "--ssl-serverkey", str(key))
    wanted = ("--ssl-cacerts", str(cert), "--ssl-requireclientcert") if required else ()
    hosted = host("things:Single", *files, *wanted)
    place = place_of(hosted.ready())
    tls = _tls(ObjectOptions("things:Single", ssl_servercert=str(cert)))
    assert asked(place, tls=tls)
    os.kill(hosted.process.pid, signal.SIGSTOP)
    assert not asked(place, 0.3, tls=tls)
    os.kill(hosted.process.pid, signal.SIGCONT)
