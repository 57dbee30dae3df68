"""The command `es` as the child of a manager."""

from __future__ import annotations

import json
import signal
import socket
from typing import TYPE_CHECKING, Any

import Pyro5.api
import pytest

from pyro_events._protocol.event import EVENTSERVICE_NAME
from tests.events.service_harness import (
    Process,
    proxy,
)
from tests.events.test_es_command import ALONE, uri_of
from tests.harness import is_alive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.events.service_harness import Start


class Manager:
    """The other side of the child protocol."""

    def __init__(self, directory: Path) -> None:
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(directory / "notify"))
        self.notify.settimeout(10)
        self.ours, self.theirs = socket.socketpair()
        self.ours.settimeout(10)
        self.lines = self.ours.makefile("rb")

    def start(self, process: Start, *arguments: str) -> Process:
        number = self.theirs.fileno()
        started = process(
            *arguments,
            pass_fds=[number],
            NOTIFY_SOCKET=self.notify.getsockname(),
            PYROCTL_CONTROL_FD=str(number),
        )
        self.theirs.close()
        return started

    def notification(self) -> list[str]:
        return self.notify.recv(4096).decode().splitlines()

    def ask(self, ask: str, **parameters: object) -> dict[str, Any]:
        self.ours.sendall(json.dumps({"id": 7, "ask": ask, **parameters}).encode() + b"\n")
        found: dict[str, Any] = json.loads(self.lines.readline())
        return found

    def close(self) -> None:
        self.lines.close()
        self.ours.close()
        self.theirs.close()
        self.notify.close()


@pytest.fixture
def manager(tmp_path: Path, process: Start) -> Any:
    made = Manager(tmp_path)
    yield made
    made.close()


def test_a_manager_is_notified(manager: Manager, process: Start) -> None:
    """Ready comes with the URI once it serves; stopping comes when it begins to stop."""
    es = manager.start(process, *ALONE)
    notification = manager.notification()
    assert notification[0] == "READY=1"
    assert f"X_PYRO_URI={uri_of(es)}" in notification
    with proxy(uri_of(es)) as remote:
        remote.publish("a", 1)
    es.signal(signal.SIGTERM)
    assert manager.notification() == ["STOPPING=1"]
    assert es.end()[0] == 0


def test_a_manager_may_ask(manager: Manager, process: Start, name_server: str) -> None:
    """Statistics, subscriptions, and registering again; anything else is an error."""
    es = manager.start(process, *ALONE)
    manager.notification()
    with proxy(uri_of(es)) as remote:
        remote.publish(["a", "b"], 1)
    found = manager.ask("statistics")
    assert found["id"] == 7
    assert (found["answer"]["published"], found["answer"]["uri"]) == (2, uri_of(es))
    assert manager.ask("subscriptions")["answer"] == []
    assert manager.ask("register", ns=name_server)["answer"] == {"registered": name_server}
    host, _, port = name_server.partition(":")
    with Pyro5.api.locate_ns(host, int(port)) as ns:
        assert str(ns.lookup(EVENTSERVICE_NAME)) == uri_of(es)
        assert "not a name server address" in manager.ask("register", ns="a:b:c")["error"]
        assert "dance" in manager.ask("dance")["error"]
        es.signal(signal.SIGTERM)
        assert es.end()[0] == 0
        assert EVENTSERVICE_NAME not in ns.list()


def test_it_ends_with_its_manager(manager: Manager, process: Start) -> None:
    """When the control channel ends, the manager is gone: it stops in order."""
    es = manager.start(process, *ALONE)
    manager.notification()
    manager.lines.close()
    manager.ours.close()
    status, _, err = es.end(5)
    assert status == 0
    assert "manager is gone" in err
    assert not is_alive(es.pid)
