"""A laboratory of thirteen services, and what happens to one in its first week."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from Pyro5.api import Proxy

from tests.harness import eventually, is_alive

if TYPE_CHECKING:
    from tests.harness import Deployment

HERE = Path(__file__).parent
INSTRUMENTS = ("camera", "thermostat", "stage", "laser")
STEADY = ("camera", "thermostat")
"""Instruments whose device never goes away in these tests."""

pytestmark = pytest.mark.timeout(180)


def program(name: str, ready: str, more: str = "") -> str:
    command = json.dumps([sys.executable, str(HERE / "laboratory.py"), name])
    return (
        f'[services.{name}]\nkind = "command"\ncommand = {command}\nneeds = ["es"]\n'
        f'ready = {{ log = "^{ready}" }}\n{more}\n'
    )


def hosted(name: str, cls: str, more: str = "") -> str:
    return (
        f'[services.{name}]\nkind = "object"\nobject = "laboratory:{cls}"\n'
        f'path = ["{HERE}"]\npyro_name = "lab.{name}"\nneeds = ["es"]\n{more}\n'
    )


LABORATORY = "\n".join([
    '[manager]\norphans = "adopt"\n',
    '[services.ns]\nkind = "nameserver"\nport = 0\n',
    '[services.es]\nkind = "eventservice"\nneeds = ["ns"]\n',
    *(
        hosted(name, name.title(), "start_limit = 0\nrestart_delay = 0.2\nrestart_max_delay = 1")
        for name in INSTRUMENTS
    ),
    hosted("scope", "Scope"),
    hosted("analysis", "Analysis", "instances = 2"),
    program("logger", "listening"),
    program("alarms", "listening"),
    program("gui", "drawing"),
    '[services.mapper]\nkind = "command"\ncommand = ["sleep", "1000"]\nneeds = ["stage"]\n',
    '[services.nightly]\nkind = "command"\ncommand = ["true"]\nenabled = false\n',
])  # fmt: skip


def off(deployment: Deployment, instrument: str) -> Path:
    """Unplug an instrument; returns the file to remove to plug it in again."""
    file = deployment.root / f"{instrument}.off"
    file.touch()
    return file


def rows(deployment: Deployment) -> dict[str, tuple[str, int]]:
    return {row["name"]: (row["state"], row["pid"]) for row in deployment.status()["services"]}


def states(deployment: Deployment) -> dict[str, str]:
    return {name: state for name, (state, _) in rows(deployment).items()}


def programs(deployment: Deployment) -> Counter[str]:
    """Count the running programs of the laboratory, by their command lines."""
    running = deployment.processes().values()
    return Counter(command for command in running if "laborator" in command or "sleep" in command)


class Readings:
    """What the logger has written."""

    def __init__(self, deployment: Deployment) -> None:
        self.file = deployment.root / "readings.txt"

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.file.read_text().splitlines()]

    def of(self, instrument: str) -> list[tuple[int, int]]:
        """Return pid and number of each reading."""
        found = [line for line in self.lines() if line[0] == f"lab.{instrument}"]
        return [(int(pid), int(number)) for _, pid, number in found]

    def more(self, count: int = 10) -> None:
        """Wait until there are that many more of each steady instrument."""
        before = {name: len(self.of(name)) for name in STEADY}
        eventually(lambda: all(len(self.of(name)) >= before[name] + count for name in STEADY))

    def check(self) -> None:
        """Nothing is lost, duplicated or out of order."""
        assert not [line for line in self.lines() if line[0] == "gap"]
        for name in STEADY:
            readings = self.of(name)
            numbers = [number for _, number in readings]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), name
            assert len({pid for pid, _ in readings}) == 1, f"{name} was restarted"


def calls(deployment: Deployment, name: str) -> None:
    """The instrument answers under its name."""
    host = str(deployment.service("ns")["uri"]).rpartition("@")[2]
    with Proxy(f"PYRONAME:lab.{name}@{host}") as proxy:
        assert proxy.ask() == name


def test_one_instrument_is_missing(deployment: Deployment) -> None:
    """Everything else works, with a slow window and without a runtime directory; it comes later."""
    deployment.configure(LABORATORY)
    missing = off(deployment, "stage")

    envelope = deployment.json("start", code=1)
    assert envelope["status"] == "partial"
    (error,) = [error for error in envelope["errors"] if error["service"] == "stage"]
    assert "stage: no controller at /dev/tty-stage" in json.dumps(error)
    found = states(deployment)
    assert found.pop("stage") in {"backoff", "starting"}
    assert found.pop("mapper") == "stopped"
    assert found.pop("nightly") == "stopped"
    assert set(found.values()) == {"running"}
    assert len(found) == len(INSTRUMENTS) - 1 + 8, found
    for name in STEADY:
        calls(deployment, name)

    readings = Readings(deployment)
    eventually(readings.file.exists)
    readings.more()
    eventually((deployment.root / "frames.txt").exists, "the slow window draws")

    before, pids = programs(deployment), rows(deployment)
    shutil.rmtree(deployment.root / "run")
    assert deployment.run("status", code=None).stdout.count("running") >= len(found)
    deployment.run("start", code=1)
    running = {name for name, state in states(deployment).items() if state == "running"}
    assert {name: rows(deployment)[name] for name in running} == {n: pids[n] for n in running}
    after = programs(deployment)
    assert {c: n for c, n in after.items() if "Stage" not in c} == {
        c: n for c, n in before.items() if "Stage" not in c
    }

    missing.unlink()
    eventually(lambda: states(deployment)["mapper"] == "running", "it starts what waits for it")
    assert states(deployment)["stage"] == "running"
    deployment.run("start")
    readings.more()
    readings.check()


def test_an_adopted_laboratory(deployment: Deployment) -> None:
    """The manager is killed and an instrument unplugged: `start` costs nothing its life."""
    deployment.configure(LABORATORY)
    deployment.run("start")
    readings = Readings(deployment)
    readings.more()
    before = rows(deployment)

    manager = deployment.manager_pid()
    deployment.kill_manager()
    eventually(lambda: not is_alive(manager))
    missing = off(deployment, "laser")
    os.kill(before["laser"][1], signal.SIGKILL)
    said = deployment.run("start", code=1).stderr
    assert "laser: no controller at /dev/tty-laser" in said, said + deployment.manager_log()
    now = rows(deployment)
    assert {n: row for n, row in now.items() if n != "laser"} == {
        n: row for n, row in before.items() if n != "laser"
    }
    assert now["laser"][0] in {"backoff", "starting"}
    missing.unlink()
    eventually(lambda: states(deployment)["laser"] == "running")

    for name in ("ns", "es"):
        killed = rows(deployment)[name][1]
        os.kill(killed, signal.SIGKILL)
        eventually(
            lambda name=name, killed=killed: (
                rows(deployment)[name][0] == "running" and rows(deployment)[name][1] != killed
            )
        )
    readings.more()
    deployment.run("restart", "es")
    deployment.run("restart", "es", "--handover")
    deployment.run("restart", "ns", "--yes")
    readings.more()
    for name in INSTRUMENTS:
        calls(deployment, name)
    readings.check()
    alarms = (deployment.root / "alarms.txt").read_text()
    assert ".laser." in alarms, alarms
