"""Messages of strangers to the name server and to hosted objects, which Pyro5 would decode."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
import zlib
from pathlib import Path

import msgpack
import pytest
from Pyro5.client import Proxy

from pyro_wire import framing
from tests.real.managed import WAIT, Managed

MIB = 1 << 20
LIST = b"[\xff\xff\xff\x7f"
"""In marshal, a list of two thousand million items."""
BUSY = 50
"""The bound grows by this multiple of a quiet call, which is long on a busy machine."""
HANDSHAKE = msgpack.packb({"handshake": "hello", "object": "Pyro.Daemon"})


def frame(kind, serializer, data, flags=0, annotations=b""):
    return framing.encode_frame(kind, serializer, flags, 0, data, annotations)


def deflated_zeros(mebibytes):
    """Return a zlib stream of zeros without its end; only two mebibytes of it are deflated."""
    packer = zlib.compressobj()
    first, other = (packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + other * (mebibytes - 1)


GIBIBYTE = deflated_zeros(1024)
CONNECT = frame(framing.CONNECT, framing.MSGPACK, HANDSHAKE)
BOMBS = {
    "marshal": frame(framing.CONNECT, framing.MARSHAL, LIST),
    "marshal-call": CONNECT + frame(framing.INVOKE, framing.MARSHAL, LIST),
    "marshal-blob": CONNECT
    + frame(
        *(framing.INVOKE, framing.MSGPACK, b"", framing.KEEPSERIALIZED),
        b"BLBI" + len(LIST).to_bytes(4, "big") + LIST,
    ),
    "zlib": frame(framing.CONNECT, framing.MSGPACK, GIBIBYTE, framing.COMPRESSED),
    "zlib-call": CONNECT + frame(framing.INVOKE, framing.MSGPACK, GIBIBYTE, framing.COMPRESSED),
    "serpent": frame(framing.CONNECT, framing.SERPENT, b"[" + b"1," * 500_000 + b"]"),
}


class Service(Managed):
    def __init__(self, name):
        module = {"names": ["pyro_names", "--port", "0", "--host", "127.0.0.1"]}
        hosted = ["pyro_host", "things:Counting", "--path", str(Path(__file__).parent)]
        hosted += ["--max-message-size", str(16 * MIB)]
        super().__init__([sys.executable, "-P", "-m", *module.get(name, hosted)], "/")
        self.port = int(self.ready().rpartition(":")[2])

    def peak(self):
        """Return the most memory it ever had, in bytes."""
        (line,) = [
            line
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        ]
        return int(line.split()[1]) << 10


@pytest.fixture(params=["names", "hosted"])
def service(request):
    with contextlib.closing(Service(request.param)) as service:
        yield service


def call_time(proxy):
    began = time.monotonic()
    proxy._pyroBind()
    proxy.ping()
    proxy._pyroRelease()
    return time.monotonic() - began


def throw(port, bomb, stop):
    while not stop.is_set():
        sock = socket.create_connection(("127.0.0.1", port), WAIT)
        with sock, contextlib.suppress(OSError):
            sock.sendall(bomb)
            while sock.recv(1 << 16) and not stop.is_set():
                pass


@pytest.mark.parametrize("name", BOMBS)
def test_a_message_that_is_dear_to_decode_costs_neither_time_nor_memory(service, name):
    """Whoever sends one, others are served as promptly as before, and the process stays small."""
    stop = threading.Event()
    attacker = threading.Thread(target=throw, args=(service.port, BOMBS[name], stop))
    with Proxy(f"PYRO:Pyro.Daemon@127.0.0.1:{service.port}") as proxy:
        proxy._pyroTimeout = WAIT
        quiet = max(call_time(proxy) for _ in range(10))
        before = service.peak()
        attacker.start()
        try:
            times = [call_time(proxy) for _ in range(20)]
        finally:
            stop.set()
            attacker.join(WAIT)
    assert not attacker.is_alive()
    assert max(times) < 0.5 + BUSY * quiet
    assert service.peak() - before < 100 * MIB


def test_a_client_with_marshal_gets_the_reason(service):
    """The handshake is refused in words."""
    with socket.create_connection(("127.0.0.1", service.port), WAIT) as sock:
        sock.sendall(BOMBS["marshal"])
        reader = framing.FrameReader(MIB)
        while (answer := reader.next_frame()) is None:
            reader.feed(sock.recv(1 << 16))
    assert answer.type == framing.CONNECTFAIL
    assert b"use the serializer serpent, json or msgpack" in answer.data
