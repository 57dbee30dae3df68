"""A running event service serves on, in bounded memory, whatever bytes it is sent."""

from __future__ import annotations

import contextlib
import itertools
import socket
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from Pyro5.serializers import serializers_by_id

from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing
from tests.events.service_harness import Process, WireClient
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Start

pytestmark = pytest.mark.usefixtures("each_codec")

LIMIT = 100_000
GREETING = framing.encode_frame(
    framing.CONNECT, 4, 0, 0, msgpack.packb({"handshake": "hello", "object": EVENTSERVICE_NAME})
)
METHODS = [
    "publish", "subscribe", "subscribeMatch", "unsubscribe", "statistics", "subscriptions",
    "publish_batch", "attach", "detach", "stream_subscribe", "stream_unsubscribe", "nonsense",
]  # fmt: skip

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()
leaves = scalars | st.text(max_size=20) | st.binary(max_size=20)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.just("__class__"), inner, max_size=3)
    ),
    max_leaves=8,
)


def encode(serializer: int, call: list[Any]) -> bytes:
    try:
        data = serializers_by_id[serializer].dumpsCall(*call)
    except Exception:  # noqa: BLE001 - what one serializer can't carry is sent in another
        data = msgpack.packb(call)
    return bytes(data)


calls = st.builds(
    encode,
    st.sampled_from([1, 3, 4]),
    st.tuples(
        st.sampled_from([EVENTSERVICE_NAME, "Pyro.Daemon", "x"]),
        st.sampled_from(METHODS),
        st.lists(values, max_size=5),
        st.dictionaries(st.sampled_from(["once", "as_dict", "x"]), values, max_size=2),
    ).map(list),
)
data = st.binary(max_size=200) | calls | values.map(msgpack.packb)
frames = st.builds(
    framing.encode_frame,
    st.integers(0, 7) | st.just(framing.INVOKE),
    st.sampled_from([0, 1, 2, 3, 4, 4, 4, 255]),
    st.sampled_from([0, 0, 0, framing.ONEWAY, framing.BATCH, framing.KEEPSERIALIZED, 0xFFFF]),
    st.integers(0, 0xFFFF),
    data,
    st.just(b"") | st.binary(max_size=20),
)
bombs = st.builds(
    lambda size, kind: framing.encode_frame(
        kind, 4, framing.COMPRESSED, 0, zlib.compress(bytes(size))
    ),
    st.sampled_from([1000, LIMIT, 10_000_000]),
    st.sampled_from([framing.INVOKE, framing.CONNECT]),
)
lies = st.builds(
    framing.encode_header,
    st.sampled_from([framing.INVOKE, framing.CONNECT]),
    st.just(4),
    st.just(0),
    st.just(0),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1) | st.just(0),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a frame in which some bytes are wrong."""
    frame = bytearray(draw(frames))
    for _ in range(draw(st.integers(1, 3))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame)


@st.composite
def attacks(draw: st.DrawFn) -> list[bytes]:
    """Draw what a client sends, piece by piece: after a proper greeting or without one."""
    pieces = st.binary(max_size=300) | frames | damaged() | bombs | lies
    whole = draw(st.sampled_from([b"", GREETING, GREETING])) + b"".join(
        draw(st.lists(pieces, max_size=6))
    )
    places = draw(st.lists(st.integers(0, len(whole)), max_size=5))
    return [whole[a:b] for a, b in itertools.pairwise([0, *sorted(places), len(whole)])]


def resident(process: Process) -> int:
    """Return the peak of the process's resident memory, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.fixture
def es(process: Start) -> Process:
    return process(
        *("-m", "pyro_events", "-N", "-q", "--max-message-size", str(LIMIT)),
        *("--queue-bytes", str(LIMIT), "--max-subscribers", "20"),
    )


def port_of(es: Process) -> int:
    return int(es.first_line.split()[0].rpartition(":")[2])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(attacks(), st.sampled_from(["close", "half", "reset", "read"]))
def attack(es: Process, healthy: WireClient, pieces: list[bytes], end: str) -> None:
    sock = socket.create_connection(("127.0.0.1", port_of(es)), 5)
    with sock, contextlib.suppress(OSError):  # it hung up on us already
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)
        if end == "half":
            sock.shutdown(socket.SHUT_WR)
        elif end == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        elif end == "read":
            sock.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                while sock.recv(1 << 16):
                    pass
    assert healthy.call("publish", "healthy", 1) is None
    assert len(healthy.events(1)) == 1


def test_fuzz(es: Process) -> None:
    """A healthy pair is served and memory stays bounded, whatever others send."""
    with WireClient(port_of(es)) as healthy:
        healthy.greet()
        healthy.attach("healthy", ["healthy"])
        before = resident(es)
        attack(es, healthy)
        assert resident(es) - before < 30_000_000
        eventually(lambda: healthy.call("statistics")["connections"] == 1)
        assert healthy.call("statistics")["dropped"] == 0
    assert es.process.poll() is None
    es.process.terminate()
    status, _, err = es.end()
    assert status == 0
    assert "Traceback" not in err
