"""TLS under pressure: handshakes that don't end, addresses that take turns, plain callbacks."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from pyro_events import Publisher
from pyro_events._broker.net.handshakes import Handshakes
from pyro_events._broker.net.loop import Loop
from pyro_wire.tls.files import load_client
from tests.events.service_harness import WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.service_harness import Make
    from tests.tls_site import TlsSite


def test_handshakes_that_do_not_end_make_room(engine: Make, tls_site: TlsSite) -> None:
    """Beyond their number the oldest is hung up on; they take no place of a client."""
    es = engine(
        tls="both",
        tls_certificate=tls_site.files("es").certificate,
        max_tls_handshakes=3,
        max_handshakes=1,
        max_connections=1,
    )
    session = load_client(tls_site.files("stage")).session("localhost")
    session.handshake()
    hello = session.pending()
    with contextlib.ExitStack() as stack:
        socks = []
        for _ in range(9):
            sock = socket.create_connection(("127.0.0.1", es.port), 10)
            socks.append(stack.enter_context(sock))
            sock.sendall(hello)
            assert sock.recv(1) == b"\x16"  # the service has answered
        assert es.statistics()["refusals"]["max_handshakes"] == 6
        with Publisher(es.uri, tls=str(tls_site.folder("stage"))) as publisher:
            publisher.publish("a", 1)
        assert es.statistics()["published"] == 1


def test_addresses_take_turns() -> None:
    """A flood from one delays another by one piece of work; what has begun comes first."""
    loop = Loop()
    handshakes = Handshakes(loop)
    began, go, done = threading.Event(), threading.Event(), list[str]()

    def work(name: str) -> Callable[[], Callable[[], None]]:
        return lambda: lambda: done.append(name)

    def hold() -> Callable[[], None]:
        began.set()
        go.wait(10)
        return lambda: None

    handshakes.run("flood", hold)
    began.wait(10)
    for number in range(5):
        handshakes.run("flood", work(f"flood {number}"))
    handshakes.run("flood", work("flood, begun"), urgent=True)
    handshakes.run("other", work("other"))
    go.set()

    def all_done() -> bool:
        loop.run_once(0)
        return len(done) == 7

    eventually(all_done)
    handshakes.close()
    loop.close()
    assert done == ["flood, begun", "other", *(f"flood {number}" for number in range(5))]


def test_no_call_without_tls_where_it_is_required(engine: Make, tls_site: TlsSite) -> None:
    """An object on another machine is called over TLS, or not at all; with "both", any is."""
    certificate = tls_site.files("es").certificate
    both, required = (
        engine(tls=mode, tls_certificate=certificate, callback_allow=("192.0.2.1",))
        for mode in ("both", "required")
    )
    with proxy(both.uri) as remote:
        remote.subscribe("a", "PYRO:x@192.0.2.1:9")
    context = load_client(tls_site.files("stage")).context
    sock = socket.create_connection(("127.0.0.1", required.port), 10)
    with WireClient(0, context.wrap_socket(sock, server_hostname="localhost")) as client:
        client.greet()
        client.call("subscribe", "a", "PYRO:x@127.0.0.1:9")
        client.call("subscribe", "a", "PYRO:x@192.0.2.1:9")
        with pytest.raises(ValueError, match=r"it would call PYRO:x@192\.0\.2\.1:9 without"):
            client.call("subscribe", "a", "PYRO:x@192.0.2.1:9", key="0123abcd")
