"""Publishers on the machine of the event service use its Unix socket, and others don't."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from pyro_events import Publisher
from pyro_wire import framing
from tests.events.client_fixtures import Recording
from tests.events.service_harness import WireClient
from tests.events.test_identification import IDENT, SHARED
from tests.events.test_tls import options
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.held_service import HeldService
    from tests.events.service_harness import Make, Running
    from tests.tls_site import TlsSite

ABLE = {"pyro_events": 2, "role": "publisher", "can": ["local"]}


def peers(running: Running) -> list[str | None]:
    """Return where the clients are, None for those at the Unix socket."""
    sessions = running.engine.ask(lambda: list(running.engine._sessions)).result(5)
    return [each.peer for each in sessions]


def local(running: Running) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(f"\0{running.engine._listeners.local_name}")
    return sock


def test_only_a_publisher_that_waits_for_answers_uses_it(engine: Make) -> None:
    """Whoever posts first, and subscribers, stay on TCP; all are the same client."""
    running = engine()
    with Recording(running.uri) as recording, Publisher(running.uri) as publisher:
        recording.subscribe("a")
        recording.start()
        publisher.publish("a", 1)
        eventually(lambda: sorted(peers(running), key=str) == ["127.0.0.1", None])
        publisher.post("a", 2)
        publisher.flush(10)
        with Publisher(running.uri) as other:
            other.post("a", 3)
            other.flush(10)
            other.publish("a", 4)
            three = ["127.0.0.1", "127.0.0.1", None]
            eventually(lambda: sorted(peers(running), key=str) == three)
            sessions = list(running.engine._sessions)
            assert {str(each.principal) for each in sessions} == {f"uid:{os.getuid()}"}
        assert recording.wait(4) == [1, 2, 3, 4]


@pytest.mark.parametrize("how", ["closed", "another", "silent"])
def test_whatever_is_wrong_with_it_publishers_stay_on_tcp(engine: Make, how: str) -> None:
    """Nobody listens there, it is another event service, or nobody answers: nothing is lost."""
    running, other = engine(), engine()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind("\0pyro-events-test-" + os.urandom(8).hex())
        silent.listen(1)
        running.engine._listeners.local_name = {
            "closed": "pyro-events-nobody",
            "another": other.engine._listeners.local_name,
            "silent": silent.getsockname().decode()[1:],
        }[how]
        with Publisher(running.uri) as publisher:
            publisher.publish("a", 1)
            eventually(lambda: peers(running) == ["127.0.0.1"])
    assert running.statistics()["published"] == 1
    assert other.statistics()["published"] == 0


@pytest.mark.parametrize("off", ["tcp_only", "tls"])
def test_it_can_be_switched_off(engine: Make, tls_site: TlsSite, off: str) -> None:
    """It isn't offered, nor open, if that is wanted or TLS is required."""
    if off == "tls":
        assert engine(**options(tls_site)).engine._listeners.local_name is None
        return
    running = engine(tcp_only=True)
    assert running.engine._listeners.local_name is None
    with Publisher(running.uri) as publisher:
        publisher.publish("a", 1)
        eventually(lambda: peers(running) == ["127.0.0.1"])


def test_identification_and_limits_are_the_same_there(engine: Make) -> None:
    """Helpers prove the identification over it, too; nobody else is served."""
    running = engine(ident=IDENT, max_connections_per_peer=2)
    with Publisher(running.uri, ident=SHARED) as publisher:
        publisher.publish("a", 1)
        eventually(lambda: peers(running) == [None])
        with WireClient(0, local(running)) as stranger:
            assert stranger.greet().type == framing.CONNECTFAIL
        with WireClient(0, local(running)) as stranger:
            stranger.ask_challenge(SHARED)
            assert stranger.prove("nonsense").flags & framing.EXCEPTION
        with WireClient(running.port) as second, WireClient(0, local(running)) as third:
            second.identify(SHARED)
            assert third.identify(SHARED).flags & framing.EXCEPTION
    refusals = running.statistics()["refusals"]
    assert (refusals["ident"], refusals["max_connections_per_peer"]) == (2, 1)


def test_only_who_can_use_it_learns_its_name(engine: Make) -> None:
    """A helper on this machine that can use it, and does not yet."""
    running = engine()
    for greeting, offered in ((ABLE, True), (ABLE | {"can": []}, False)):
        with WireClient(running.port) as client:
            answer = msgpack.unpackb(client.greet(greeting).data)["handshake"]
            assert ("local" in answer) is offered
    with WireClient(0, local(running)) as client:
        assert "local" not in msgpack.unpackb(client.greet(ABLE).data)["handshake"]


def test_it_is_handed_over(held: Callable[..., HeldService]) -> None:
    """Connections and the socket itself: new publishers come in by it, too."""
    es = held()
    with Recording(es.uri) as recording, Publisher(es.uri) as publisher:
        recording.subscribe("a")
        recording.start()
        publisher.publish("a", 1)
        es.handover()
        publisher.publish("a", 2)
        with Publisher(es.uri) as other:
            other.publish("a", 3)
            assert [unix_peer(each) for each in (publisher, other)] == [True, True]
        assert recording.wait(3) == [1, 2, 3]
        assert publisher.statistics()["reconnects"] == 0
        es.crash()
        publisher.publish("a", 4)
        assert unix_peer(publisher)


def unix_peer(publisher: Any) -> bool:
    return bool(publisher._sender._connection._sock.family == socket.AF_UNIX)
