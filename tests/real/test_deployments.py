"""The deployments in config/ start as they are, and do what their comments promise."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import Pyro5.api
import pytest

from pyro_events import EVENTSERVICE_NAME, Subscriber
from tests.harness import BIN, eventually, is_alive

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events import Event
    from tests.harness import Deployment

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture
def copy(deployment: Deployment) -> Callable[[str], None]:
    """Copies an example unchanged; only its ports are free ones, set by the environment."""
    deployment.env |= {"PYROCTL_SERVICES_NS_PORT": "0", "PYROCTL_SERVICES_ES_PORT": "0"}

    def copy(name: str) -> None:
        deployment.configure((CONFIG / name).read_text())
        shutil.copytree(CONFIG / "programs", deployment.root / "programs")

    return copy


def name_server(deployment: Deployment) -> tuple[str, int]:
    host, _, port = deployment.service("ns")["uri"].rpartition("@")[2].rpartition(":")
    return host, int(port)


class Collecting(Subscriber):
    def __init__(self, es: str) -> None:
        super().__init__(es)
        self.got: list[tuple[str, Any]] = []

    def event(self, event: Event) -> None:
        self.got.append((event.subject, event.msg))


def states(deployment: Deployment) -> dict[str, str]:
    rows = deployment.json("status", code=None)["data"]["services"]
    return {row["name"]: row["state"] for row in rows}


def test_the_laptop(copy: Callable[[str], None], deployment: Deployment) -> None:
    """A name server that knows the event service."""
    copy("laptop.toml")
    deployment.run("start")
    with Pyro5.api.locate_ns(*name_server(deployment)) as ns:
        assert str(ns.lookup(EVENTSERVICE_NAME)) == deployment.service("es")["uri"]


def test_the_laboratory(copy: Callable[[str], None], deployment: Deployment) -> None:
    """Instruments publish; a camera that hangs is replaced; the calibration succeeds."""
    copy("lab.toml")
    deployment.env |= {
        "LAB_EVERY": "0.05",
        "PYROCTL_SERVICES_CAMERA_RESTART_DELAY": "0",
        "PYROCTL_SERVICES_CAMERA_WATCHDOG_EVERY": "0.2",
        "PYROCTL_SERVICES_CAMERA_WATCHDOG_TIMEOUT": "0.5",
    }
    deployment.run("start")
    assert states(deployment)["calibration"] == "stopped"
    with Collecting(deployment.service("es")["uri"]) as collecting:
        collecting.subscribeMatch("lab.*")
        thread = threading.Thread(target=collecting.listen)
        thread.start()
        try:
            deployment.run("start", "calibration")
            eventually(lambda: ("lab.camera.picture", 5) in collecting.got)
            eventually(lambda: "lab.temperature" in dict(collecting.got))
            eventually(lambda: states(deployment)["calibration"] == "exited")
            assert "5 pictures" in deployment.run("logs", "calibration").stdout
            hung = deployment.service("camera")["pid"]
            os.kill(hung, signal.SIGSTOP)
            eventually(lambda: not is_alive(hung))
            eventually(lambda: states(deployment)["camera"] == "running")
        finally:
            collecting.abort()
            thread.join(10)
    deployment.run("restart", "ns", "--yes")
    with Pyro5.api.locate_ns(*name_server(deployment)) as ns:
        assert {"lab.camera", EVENTSERVICE_NAME} <= ns.list().keys()


def test_the_pool(copy: Callable[[str], None], deployment: Deployment) -> None:
    """Four workers, or another number, share the tasks; one that dies is replaced."""
    copy("pool.toml")
    deployment.env["POOL_SIZE"] = "3"
    deployment.run("start")
    assert [name for name in states(deployment) if "@" in name] == [
        f"worker@{number}" for number in (1, 2, 3)
    ]
    os.kill(deployment.service("worker@1")["pid"], signal.SIGKILL)
    host, port = name_server(deployment)
    found = subprocess.run(
        [sys.executable, deployment.root / "programs" / "submit.py", "3", "10", "20"],
        env={**deployment.env, "PYRO_NS_HOST": host, "PYRO_NS_PORT": str(port)},
        stdout=subprocess.PIPE, text=True, check=True, timeout=40,
    )  # fmt: skip
    answers = {line.partition(",")[0] for line in found.stdout.splitlines()}
    assert answers == {"3! = 6", "10! = 3628800", "20! = 2432902008176640000"}
    eventually(lambda: set(states(deployment).values()) == {"running"})


def test_a_task_of_a_dead_worker_is_not_lost(
    copy: Callable[[str], None], deployment: Deployment
) -> None:
    """Another worker takes it."""
    copy("pool.toml")
    deployment.run("start", "tasks")
    uri = deployment.service("tasks")["uri"]
    with Pyro5.api.Proxy(uri) as client:
        number = client.submit(7)
        with Pyro5.api.Proxy(uri) as dead:
            assert dead.take() == (number, 7)
        assert eventually(client.take) == (number, 7)
        client.done(number)
        assert client.take() is None


def test_behind_systemd(copy: Callable[[str], None], deployment: Deployment) -> None:
    """It reports readiness; es is handed over; names survive a full stop."""
    copy("systemd.toml")
    address = f"pyroctl-test-{deployment.mark}"
    (deployment.root / "data").mkdir()
    env = {
        **deployment.env,
        "NOTIFY_SOCKET": f"@{address}",
        "STATE_DIRECTORY": str(deployment.root / "data"),
    }
    run = [str(BIN / "pyroctl"), "--root", str(deployment.root), "run", "--no-logs"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address)
        systemd.settimeout(20)
        for turn in (1, 2):
            with subprocess.Popen(run, env=env, cwd=deployment.root) as manager:
                try:
                    while systemd.recv(4096) != b"READY=1":
                        pass
                    with Pyro5.api.locate_ns(*name_server(deployment)) as ns:
                        if turn == 1:
                            ns.register("somebody", "PYRO:somebody@localhost:1")
                        assert "somebody" in ns.list()
                    (done,) = deployment.json("restart", "es")["data"]["restarts"]
                    assert done["how"] == "handover"
                    manager.terminate()
                    assert manager.wait(20) == 0
                finally:
                    manager.kill()
    assert (deployment.root / "data" / "names.sqlite").exists()
