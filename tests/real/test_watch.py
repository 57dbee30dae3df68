"""`watch` and `measure` of the control channel, with a real manager and real services."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyroctl.control.client import call, connect
from pyroctl.control.protocol import Decoder, encode, request
from pyroctl.errors import ManagerExited
from pyroctl.view.picture import WatchedPicture
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Deployment

CHILDREN = """
import subprocess, sys, time
print("line", flush=True)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
end = time.process_time() + 0.2
while time.process_time() < end: pass
print("ready", flush=True)
time.sleep(1000)
"""

CONFIG = f"""
[services.ns]
kind = "nameserver"
port = 0
broadcast = false
[services.es]
kind = "eventservice"
port = 0
needs = ["ns"]
[services.busy]
kind = "command"
command = ["{sys.executable}", "-c", '''{CHILDREN}''']
ready = {{ log = "ready" }}
"""


class Viewer:
    """Watches in a thread, as the page does, until the manager ends."""

    def __init__(self, deployment: Deployment, **args: Any) -> None:
        self.picture = WatchedPicture()
        self.kinds: list[str] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(deployment, args))
        self._thread.start()

    def _run(self, deployment: Deployment, args: dict[str, Any]) -> None:
        try:
            call(deployment.paths(), "watch", args, self._receive)
        except Exception as error:  # noqa: BLE001 - for the test
            self.error = error

    def _receive(self, event: dict[str, Any]) -> None:
        self.kinds.append(event["kind"])
        self.picture.receive(event, time.monotonic())

    def row(self, name: str) -> dict[str, Any]:
        rows = self.picture.status(time.monotonic())["services"]
        return next(row for row in rows if row["name"] == name)

    def sees(self, condition: Callable[[], bool]) -> None:
        eventually(lambda: self.picture.known and condition())

    def end(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_a_watcher_sees_a_crash_without_asking(deployment: Deployment) -> None:
    """States, processes and numbers arrive by themselves, and the end of the manager ends it."""
    deployment.configure(CONFIG)
    deployment.run("start")
    viewer = Viewer(deployment, interval=0.2)
    viewer.sees(lambda: viewer.picture.sample is not None)
    first = viewer.row("es")
    assert first["es"]["published"] == 0
    assert first["rss_bytes"] > 1_000_000
    os.kill(first["pid"], signal.SIGKILL)
    viewer.sees(lambda: viewer.row("es")["pid"] not in {None, first["pid"]})
    viewer.sees(lambda: viewer.row("es")["state"] == "running")
    assert viewer.row("es")["restarts"] == 1
    viewer.sees(lambda: viewer.picture.rates["es"].get("published") is not None)
    began = time.monotonic()
    deployment.run("shutdown")
    viewer.end()
    assert isinstance(viewer.error, ManagerExited)
    assert time.monotonic() - began < 4.5 or "stopped" in viewer.row("es")["state"]
    assert viewer.row("ns")["state"] == "stopped"


def test_one_that_does_not_read_holds_nobody(deployment: Deployment) -> None:
    """Other commands are answered at once; a full socket's watcher ends with its connection."""
    deployment.configure(CONFIG)
    deployment.run("start", "ns")
    with connect(deployment.paths()) as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.sendall(encode(request("watch", {"interval": 0.1})))
        for _ in range(5):
            deployment.run("restart", "ns")
        assert deployment.state("ns") == "running"
        decoder = Decoder()
        kinds: set[str] = set()
        while not {"snapshot", "delta", "sample"} <= kinds:
            kinds |= {m["event"]["kind"] for m in decoder.feed(stuck.recv(65536))}
    deployment.run("reexec")
    deployment.run("shutdown")


def test_measure_counts_the_whole_session(deployment: Deployment) -> None:
    """Children count; ES and name server report in the same answer; numbers only grow."""
    deployment.configure(CONFIG)
    deployment.run("start")
    first = {row["name"]: row for row in deployment.ask("measure")["data"]["services"]}
    busy = first["busy"]
    assert (busy["processes"], busy["threads"]) == (2, 2)
    assert busy["cpu_seconds"] >= 0.2
    assert busy["fds"] >= 6
    assert busy["log"]["streams"]["output"] == {
        "bytes": len("line\nready\n"),
        "lines": 2,
        "unwritten": 0,
    }
    assert busy["ready_seconds"] > 0
    assert first["es"]["es"]["subscribers"] == 0
    assert first["ns"]["names"]["names"] >= 2
    os.kill(busy["pid"], signal.SIGKILL)
    eventually(lambda: deployment.service("busy")["state"] == "running")
    answer = deployment.ask("measure", "busy")["data"]
    (row,) = answer["services"]
    assert row["restarts"]["crash"] == row["exits"]["signal"] == 1
    assert answer["manager"]["pid"] == deployment.manager_pid()
    assert answer["manager"]["rss_bytes"] > 1_000_000
    deployment.configure("nonsense")
    deployment.run("reload", code=6)
    assert deployment.ask("measure")["data"]["manager"]["last_reload_successful"] is False


@pytest.mark.parametrize("interval", [0, -1, "soon"])
def test_a_bad_interval_is_refused(deployment: Deployment, interval: Any) -> None:
    """The request gets an error, and the manager continues."""
    deployment.configure('[services.a]\nkind = "command"\ncommand = ["sleep", "1000"]')
    deployment.run("start")
    reply = call(deployment.paths(), "watch", {"interval": interval})
    assert "must be a number of seconds" in reply["errors"][0]["message"]
