"""A handover with subscribers that the event service calls."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgpack

from pyro_wire import framing
from tests.events.service_harness import AwareRecorder, Recorder, WireClient, proxy
from tests.events.test_handover import publish
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.held_service import HeldService
    from tests.events.service_harness import Stock

    Held = Callable[..., HeldService]


def test_objects_that_are_called_back_keep_their_connection(held: Held, stock: Stock) -> None:
    """Batches under way are answered to the new process; no subscriber is notified."""
    es, gate = held(), threading.Event()
    aware, plain = AwareRecorder(), Recorder()
    aware.hook = plain.hook = lambda _event: gate.wait(20)
    daemon = stock()
    with proxy(es.uri) as remote:
        for each in (aware, plain):
            remote.subscribe("a", daemon.register(each))
        for number in range(100):
            remote.publish("a", number)
    eventually(lambda: aware.running == plain.running == 1)
    connections = set(daemon.daemon.transportServer.pool.busy)
    for _ in range(3):
        es.handover()
    gate.set()
    publish(es, 100)
    for each in (aware, plain):
        eventually(lambda each=each: each.messages() == list(range(101)))
        assert each.overlaps == 0
    assert aware.notices == []
    assert set(daemon.daemon.transportServer.pool.busy) == connections
    eventually(lambda: es.ask("statistics")["queued"] == 0)
    assert es.ask("statistics")["delivered"] == 202


def test_a_subscriber_that_is_being_connected(held: Held, stock: Stock) -> None:
    """The new process connects again, and waits for the answer to a greeting under way."""
    es = held()
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    slow = socket.create_server(("127.0.0.1", 0))
    with full, slow, ExitStack() as stack:
        fillers = []
        for _ in range(3):  # now no connection gets in
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
            fillers.append(sock)
        with proxy(es.uri) as remote:
            for server in (full, slow):
                remote.subscribe("a", f"PYRO:x@127.0.0.1:{server.getsockname()[1]}")
            remote.publish("a", 1)
        greeted, _ = slow.accept()
        stack.enter_context(greeted)
        es.handover()
        assert {each["state"] for each in es.ask("subscriptions")} == {"connecting"}
        with WireClient(0, greeted) as daemon:
            hello = daemon.frame()
            assert hello is not None
            assert hello.type == framing.CONNECT
            answer = msgpack.packb({"handshake": "", "meta": {"methods": ["event"]}})
            daemon.send(framing.CONNECTOK, answer, serializer=hello.serializer)
            call = daemon.frame()
            assert call is not None
            assert call.type == framing.INVOKE
        for sock in fillers:
            sock.close()
        full.settimeout(20)
        while True:  # the connections that filled it come first
            sock, _ = full.accept()
            with WireClient(0, sock) as daemon:
                if (frame := daemon.frame()) is not None:
                    assert frame.type == framing.CONNECT
                    break


def test_retries_continue(held: Held, stock: Stock) -> None:
    """A daemon that is down at the handover gets its events when it is back."""
    es, recorder, daemon = held(), Recorder(), stock()
    uri = daemon.register(recorder, "recorder")
    with proxy(es.uri) as remote:
        remote.subscribe("a", uri)
        remote.publish("a", 1)
    eventually(lambda: recorder.messages() == [1])
    daemon.close()
    eventually(lambda: es.ask("subscriptions")[0]["state"] == "retrying")
    publish(es, 2)
    es.handover()
    assert es.ask("subscriptions")[0]["state"] == "retrying"
    stock(port=daemon.port).register(recorder, "recorder")
    eventually(lambda: recorder.messages() == [1, 2])
