"""After a costly refusal the large requests of its client wait, and those of others do not."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgpack
import pytest

from pyro_events._broker.net import loop_share
from pyro_wire import framing
from tests.events.service_harness import WireClient
from tests.events.test_attacks import BOMBS, call
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Make, Running


@pytest.fixture
def running(engine: Make, monkeypatch: pytest.MonkeyPatch) -> Running:
    """An engine in which a refusal makes its client wait for ever, however little it has cost."""
    monkeypatch.setattr(loop_share, "FREE", 0.0)
    monkeypatch.setattr(loop_share, "SHARE", 1e-9)
    monkeypatch.setattr(loop_share, "LONGEST", 1e6)
    return engine()


def refuse(client: WireClient, frame: bytes) -> None:
    client.sock.sendall(frame)
    answer = client.frame(10)
    assert answer is not None
    assert answer.flags & framing.EXCEPTION


def publish(client: WireClient, size: int) -> int:
    return client.start("publish_batch", f"p{id(client)}", 1, [[["a"], b"\xc4" * size, False]])


@pytest.mark.parametrize("bomb", ["zlib", "msgpack"])
def test_a_large_request_waits_after_a_refused_one(running: Running, bomb: str) -> None:
    """The connection's next one is left unread, and so is that of a new connection."""
    with WireClient(running.port) as first, WireClient(running.port) as second:
        first.greet()
        refuse(first, BOMBS[bomb])
        first.sock.sendall(BOMBS[bomb])
        eventually(lambda: running.statistics()["slowed"] == 1)
        second.greet()
        second.sock.sendall(BOMBS[bomb])
        eventually(lambda: running.statistics()["slowed"] == 2)
        assert running.statistics()["refused"] == 1


def test_others_do_not_wait(running: Running) -> None:
    """Small requests, and large ones after one that was accepted, are served at once."""
    with WireClient(running.port) as healthy, WireClient(running.port) as evil:
        healthy.greet()
        healthy.finish(publish(healthy, 100_000))
        evil.greet()
        refuse(evil, BOMBS["msgpack"])
        assert evil.call("publish", "a", 1) is None
        number = healthy.start("publish_batch", "p", 1, [[["a"], b"\xc4" * 100_000, False]] * 20)
        healthy.finish(number)
        assert running.statistics()["slowed"] == 0


def test_nonsense_that_ends_its_connection_is_paid_for(running: Running) -> None:
    """A client that comes back after damaged compressed data has to wait."""
    damaged = zlib.compress(msgpack.packb(["x" * 100_000] * 10))[:-4]
    with WireClient(running.port) as client:
        client.greet()
        client.sock.sendall(call(framing.MSGPACK, damaged, framing.COMPRESSED))
        assert client.frame(10) is None
    with WireClient(running.port) as again:
        again.greet()
        publish(again, 5000)
        eventually(lambda: running.statistics()["slowed"] == 1)


def test_a_request_that_waits_has_its_turn(engine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered when its client has waited for what the refused one has cost."""
    monkeypatch.setattr(loop_share, "LONGEST", 0.2)
    running = engine()
    with WireClient(running.port) as evil, WireClient(running.port) as other:
        evil.greet()
        other.greet()
        refuse(evil, BOMBS["msgpack"])
        other.finish(publish(other, 5000))
        assert running.statistics()["slowed"] == 1


def test_others_have_their_turns_while_a_bomb_is_inflated(engine: Make) -> None:
    """Nothing is read meanwhile from its connection, whose next request comes after it."""
    running = engine()
    turns: list[bool] = []
    with WireClient(running.port) as evil:
        evil.greet()
        (session,) = running.engine._sessions
        reader = session.connection.reader
        running.engine.loop.after_round.append(lambda: turns.append(reader.inflating))
        evil.sock.sendall(BOMBS["zlib"])
        number = evil.start("publish", "a", 1)
        assert evil.finish(number) is None
    assert sum(turns) > 5
    assert running.statistics()["refused"] == 1
