"""Secrets that are replaced while clients are connected: by a reload, SIGHUP, or a handover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack
import pytest
from Pyro5.client import Proxy
from Pyro5.errors import CommunicationError

from pyro_events import Publisher, identified
from pyro_wire import framing
from tests.events.client_fixtures import Recording
from tests.events.service_harness import Recorder, Running, WireClient
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Make, Stock
    from tests.harness import Deployment

SHARED = "the-secret-that-is-shared"
NAMED = "camera-2 the-secret-of-camera-2"
IDENT = f"{SHARED}\n{NAMED}"


def replace(running: Running, ident: str) -> None:
    running.engine.ask(lambda: running.engine.replace_secrets(ident)).result(5)


def test_who_used_a_removed_secret_is_told_and_ended(engine: Make, stock: Stock) -> None:
    """Everybody else stays connected; neither streams nor objects of the removed one get events."""
    running = engine(ident=IDENT)
    recorder = Recorder()
    uri = stock().register(recorder)
    with (
        Recording(running.uri, ident=SHARED) as stays,
        Recording(running.uri, ident=NAMED) as goes,
        Recording(running.uri, ident=NAMED, delivery="callback") as called,
        Publisher(running.uri, ident=SHARED) as publisher,
        Publisher(running.uri, ident=NAMED) as removed,
        identified(Proxy(running.uri), ident=NAMED) as client,
    ):
        client.subscribe("a", uri)
        for each in (stays, goes, called):
            each.subscribe("a")
            each.start()
        removed.publish("a", 1)
        for each in (stays, goes, called):
            each.wait(1)
        replace(running, f"{SHARED}\ncamera-3 another")
        for each in (goes, called):
            eventually(lambda each=each: "disconnected" in each.hook_names())
        assert "not let in any more" in str(
            [hook for hook in goes.hooks if hook[0] == "disconnected"]
        )
        eventually(lambda: running.statistics()["connections"] == 2)
        publisher.publish("a", 2)
        assert stays.wait(2) == [1, 2]
        assert len(running.subscriptions()) == 1
        with pytest.raises(CommunicationError):
            client.publish("a", 3)
        removed.close()
    assert recorder.messages() == [1]
    assert "disconnected" not in stays.hook_names()


def test_a_changed_secret_ends_its_connections_and_keeps_its_streams(engine: Make) -> None:
    """A client that has the new one can go on with a stream; objects have to subscribe again."""
    running = engine(ident=IDENT)
    with WireClient(running.port) as client, WireClient(running.port) as other:
        client.identify(NAMED)
        incarnation = client.attach("s", ["a"])["incarnation"]
        other.identify(SHARED)
        replace(running, f"{SHARED}\ncamera-2 the-new-secret-of-camera-2")
        assert client.push()[1]["kind"] == "disconnected"
        assert client.frame() is None
        other.call("publish", "a", 1)
        with WireClient(running.port) as thief, WireClient(running.port) as again:
            begun, key = thief.ask_challenge("camera-2 the-new-secret-of-camera-2")
            assert thief.prove(begun.client_proof(key + b"x")).flags & framing.EXCEPTION
            again.identify("camera-2 the-new-secret-of-camera-2")
            answer = again.attach("s", ["a"], last=0, last_incarnation=incarnation)
            assert answer["resumed"]
            assert [msgpack.unpackb(event[2]) for event in again.events(1)] == [1]


def test_a_reload_and_a_handover_read_the_secrets(deployment: Deployment) -> None:
    """A reload needs no new process, and names what is wrong with the file, which changes nothing.

    In a handover, the new process continues no connection that its file forbids.
    """
    secrets = deployment.root / "secrets"
    secrets.touch(0o600)
    secrets.write_text(f"{IDENT}\nlast the-secret-of-the-last")
    deployment.configure(
        '[services.ns]\nkind = "nameserver"\nport = 0\n[services.es]\nneeds = ["ns"]\n'
        f'kind = "eventservice"\nident_file = "{secrets}"\non_restart = "handover"\n'
    )
    deployment.run("start")
    before = deployment.service("es")
    uri, port = before["uri"], int(before["uri"].rpartition(":")[2])
    with (
        Recording(uri, ident=NAMED) as goes,
        Recording(uri, ident=SHARED) as stays,
        WireClient(port) as last,
    ):
        last.identify("last the-secret-of-the-last")
        for each in (goes, stays):
            each.subscribe("a")
            each.start()
            eventually(lambda each=each: "connected" in each.hook_names())
        secrets.chmod(0o644)
        secrets.write_text(f"{SHARED}\nlast the-secret-of-the-last")
        refused = deployment.run("reload", code=1)
        assert "the secrets stay as they were: other users can read" in refused.stderr
        secrets.chmod(0o600)
        deployment.run("reload")
        eventually(lambda: "disconnected" in goes.hook_names())
        assert deployment.service("es")["pid"] == before["pid"]
        secrets.write_text(SHARED)
        deployment.run("restart", "es")
        assert last.frame() is None
        deployment.run("es", "publish", "a", "hello")
        assert stays.wait(1) == ["hello"]
        assert "disconnected" not in stays.hook_names()
