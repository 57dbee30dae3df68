"""Restarts of an event service step by step, with one that stops where the test wants."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import eventually, is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Deployment

FAKE = Path(__file__).with_name("fake_es")


class Stage:
    """A deployment with the fake event service, and its plan."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        deployment.configure(
            '[services.es]\nkind = "eventservice"\nrestart_delay = 0.1\nstart_limit = 1000\n'
            f'watchdog = false\nenv = {{ PYTHONPATH = "{FAKE}" }}\n'
        )
        deployment.run("start")
        self.first = self.row()

    def row(self) -> dict[str, Any]:
        return self.deployment.service("es")

    def plan(self, **settings: str) -> None:
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self.deployment.root / "plan").write_text(text)

    def paused(self) -> int:
        """Wait until a process is at the point where it is to pause, and return its pid."""
        at = self.deployment.root / "at"
        eventually(at.exists)
        return int(at.read_text())

    def resume(self) -> None:
        (self.deployment.root / "go").touch()

    def processes(self) -> list[int]:
        return [p for p, c in self.deployment.processes().items() if "pyro_events" in c]

    @contextlib.contextmanager
    def restarting(self, point: str, *how: str) -> Iterator[Any]:
        """Restart up to `point`, where the body interferes."""
        self.plan(pause=point)
        with self.deployment.popen("restart", "es", *how) as process:
            self.paused()
            yield process
            self.resume()
            self.out, self.err = process.communicate(timeout=20)
        assert "Traceback" not in self.err

    def is_whole(self) -> dict[str, Any]:
        """Wait until one process serves, and no other exists; returns its status."""
        eventually(lambda: self.deployment.state("es") == "running")
        eventually(lambda: self.processes() == [self.row()["pid"]], "one process")
        row = self.row()
        assert row["uri"] == self.first["uri"]
        port = int(row["uri"].rpartition(":")[2])
        with socket.create_connection(("localhost", port), 5):
            pass
        return row


@pytest.fixture
def stage(deployment: Deployment) -> Stage:
    return Stage(deployment)


# --- a handover that works


def test_a_handover_changes_the_process_and_nothing_else(stage: Stage) -> None:
    """Another process has the same incarnation and address; it doesn't count as a restart."""
    envelope = stage.deployment.json("restart", "es", "--handover")
    (entry,) = envelope["data"]["restarts"]
    assert {key: entry[key] for key in entry if key != "seconds"} == {
        "service": "es", "how": "handover", "lost": [], "carried": 2, "notified": 0,
        "resubscribed": 0,
    }  # fmt: skip
    row = stage.is_whole()
    assert row["pid"] != stage.first["pid"]
    assert row["es"]["incarnation"] == stage.first["es"]["incarnation"]
    assert (row["restarts"], row["uptime_s"] < stage.first["uptime_s"] + 10) == (0, True)
    assert stage.deployment.manager_log().count("es is running") <= 2, "in between, starting"
    words = f"process {row['pid']} has taken over from {stage.first['pid']}"
    assert words in stage.deployment.run("logs", "es").stdout


def test_a_handover_needs_no_warning(stage: Stage) -> None:
    """It loses nothing, so --safe allows it, also if configured; notify is refused."""
    printed = stage.deployment.run("restart", "es", "--handover", "--safe").stderr
    assert "es: handed over with 2 subscribers" in printed
    assert "lose" not in printed
    refused = stage.deployment.run("restart", "es", "--safe", code=1)
    assert "PYRO:plain@localhost:1: cars" in refused.stderr


def test_the_configuration_may_ask_for_a_handover(deployment: Deployment) -> None:
    """With on_restart = "handover" a restart hands over; --notify overrides it once."""
    stage = Stage(deployment)
    deployment.run("shutdown")
    file = deployment.root / "pyroctl.toml"
    deployment.configure(file.read_text() + 'on_restart = "handover"\n')
    deployment.run("start")
    assert deployment.json("restart", "es")["data"]["restarts"][0]["how"] == "handover"
    (entry,) = deployment.json("restart", "es", "--notify")["data"]["restarts"]
    assert (entry["how"], entry["notified"], entry["resubscribed"]) == ("notify", 1, 1)
    assert len(entry["lost"]) == 1
    assert stage.processes() == [deployment.service("es")["pid"]]


# --- a handover that fails


def test_an_event_service_that_refuses_keeps_serving(stage: Stage) -> None:
    """The command fails with its reason and a hint; no process was started."""
    stage.plan(refuse="it has TLS connections")
    failed = stage.deployment.run("restart", "es", "--handover", code=1)
    assert "es can't hand over: it has TLS connections; nothing was changed" in failed.stderr
    assert "--notify" in failed.stderr
    assert stage.is_whole()["pid"] == stage.first["pid"]


def test_a_new_process_that_cannot_start_leaves_the_old_one(stage: Stage) -> None:
    """It fails to import: exit 1 with its last output, and the old one serves."""
    stage.plan(broken="numpy")
    envelope = stage.deployment.json("restart", "es", "--handover", code=1)
    (error,) = envelope["errors"]
    assert "the new process ended: exit code 1" in error["message"]
    assert f"process {stage.first['pid']} continues to serve" in error["message"]
    assert error["output"] == ["ModuleNotFoundError: no module named numpy"]
    assert stage.is_whole()["pid"] == stage.first["pid"]
    stage.plan()
    stage.deployment.run("restart", "es", "--handover")


@pytest.mark.parametrize("point", ["started", "connected"])
def test_a_new_process_that_dies_before_it_has_all_leaves_the_old_one(
    stage: Stage, point: str
) -> None:
    """If it is killed at any point before the commit, the old one serves on unaffected."""
    with stage.restarting(point, "--handover") as command:
        new = stage.paused()
        assert stage.row()["detail"] == f"handing over to process {new}"
        os.kill(new, signal.SIGKILL)
    assert command.returncode == 1
    assert "killed by SIGKILL" in stage.err
    row = stage.is_whole()
    assert (row["pid"], row["restarts"]) == (stage.first["pid"], 0)
    assert row["es"]["incarnation"] == stage.first["es"]["incarnation"]


def test_a_new_process_that_dies_after_it_has_all_is_a_crash(stage: Stage) -> None:
    """No process is left: exit 1, and the restart policy starts another."""
    with stage.restarting("taken", "--handover") as command:
        new = stage.paused()
        eventually(lambda: not is_alive(stage.first["pid"]))
        os.kill(new, signal.SIGKILL)
        stage.plan()
    assert command.returncode == 1
    row = stage.is_whole()
    assert row["pid"] not in {new, stage.first["pid"]}
    assert (row["restarts"], row["exit"]["signal"]) == (1, signal.SIGKILL)


@pytest.mark.parametrize("point", ["started", "connected"])
def test_an_old_process_that_dies_in_between_is_replaced_by_the_new_one(
    stage: Stage, point: str
) -> None:
    """The new one serves as after a crash, and the command reports it; status isn't running."""
    with stage.restarting(point, "--handover") as command:
        new = stage.paused()
        os.kill(stage.first["pid"], signal.SIGKILL)
        eventually(lambda: stage.row()["state"] == "starting")
    row = stage.is_whole()
    if point == "started":
        assert command.returncode == 1
        assert "as after a crash" in stage.err
        assert row["es"]["incarnation"] != stage.first["es"]["incarnation"]
    assert (row["pid"], row["exit"]["signal"]) == (new, signal.SIGKILL)


def test_a_new_process_that_never_gets_ready_is_given_up(deployment: Deployment) -> None:
    """start_timeout ends it, and the old one serves."""
    stage = Stage(deployment)
    deployment.run("shutdown")
    file = deployment.root / "pyroctl.toml"
    deployment.configure(file.read_text() + "start_timeout = 1\n")
    deployment.run("start")
    stage.first = stage.row()
    stage.plan(pause="started")
    failed = deployment.run("restart", "es", "--handover", code=1)
    assert "the new process was not ready within 1 s" in failed.stderr
    assert stage.is_whole()["pid"] == stage.first["pid"]


def test_handovers_leave_no_descriptor_in_the_manager(stage: Stage) -> None:
    """This holds for one that works, one that fails, and a crash after it."""
    manager = stage.deployment.manager_pid()

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{manager}/fd"))  # noqa: PTH208

    stage.deployment.run("restart", "es", "--handover")
    stage.is_whole()
    before = descriptors()
    for count in range(1, 4):
        stage.plan(broken="numpy")
        stage.deployment.run("restart", "es", "--handover", code=1)
        stage.plan()
        stage.deployment.run("restart", "es", "--handover")
        os.kill(stage.row()["pid"], signal.SIGKILL)
        eventually(lambda count=count: stage.row()["restarts"] == count)
        stage.is_whole()
    eventually(lambda: descriptors() <= before, "no more descriptors than before")


def test_only_event_services_hand_over(deployment: Deployment) -> None:
    """For others it is a usage error without effect; a stopped event service just starts."""
    Stage(deployment)
    deployment.run("shutdown")
    file = deployment.root / "pyroctl.toml"
    deployment.configure(
        file.read_text() + '[services.x]\nkind = "command"\ncommand = "sleep 1000"\n'
    )
    deployment.run("start")
    pids = {name: deployment.service(name)["pid"] for name in ("es", "x")}
    failed = deployment.run("restart", "es", "x", "--handover", code=2)
    assert "x is not an event service" in failed.stderr
    assert pids == {name: deployment.service(name)["pid"] for name in ("es", "x")}
    deployment.run("stop", "es")
    deployment.run("restart", "es", "--handover")
    assert deployment.state("es") == "running"


# --- notify


def test_an_old_process_that_dies_while_it_retires_is_replaced_all_the_same(stage: Stage) -> None:
    """If it is killed while it notifies subscribers, a new process starts, as requested."""
    with stage.restarting("retire") as command:
        os.kill(stage.first["pid"], signal.SIGKILL)
    assert command.returncode == 0
    assert stage.is_whole()["restarts"] == 0
    assert "saves nothing for its next process" in stage.deployment.manager_log()


def test_a_new_process_that_fails_is_reported_and_clients_wait_for_the_next(stage: Stage) -> None:
    """Exit 1 with its output; no client is refused, and the policy keeps trying."""
    port = int(stage.first["uri"].rpartition(":")[2])
    stage.plan(broken="numpy")
    failed = stage.deployment.run("restart", "es", code=1)
    assert "no module named numpy" in failed.stderr
    with socket.create_connection(("localhost", port), 5):
        stage.plan()
        stage.deployment.run("start", "es")
    stage.is_whole()


@pytest.mark.parametrize("how", ["--notify", "--handover"])
def test_the_second_of_two_restarts_is_refused(stage: Stage, how: str) -> None:
    """It reports why, exits with 1, and the first one continues undisturbed."""
    with stage.restarting("started", how) as first:
        second = stage.deployment.run("restart", "es", "--yes", code=1)
        assert "es is already being restarted by another command" in second.stderr
        assert "status es" in second.stderr
    assert first.returncode == 0
    stage.is_whole()


# --- a manager that is killed


@pytest.mark.parametrize(
    ("how", "point"),
    [
        ("--notify", "retire"),
        ("--notify", "started"),
        ("--handover", "started"),
        ("--handover", "connected"),
        ("--handover", "taken"),
    ],
)
def test_a_manager_that_is_killed_leaves_no_process(stage: Stage, how: str, point: str) -> None:
    """At every step of either restart both processes end, and the next start is clean."""
    stage.plan(pause=point)
    with stage.deployment.popen("restart", "es", how) as command:
        stage.paused()
        stage.deployment.kill_manager()
        eventually(lambda: not stage.deployment.processes() or
                   list(stage.deployment.processes()) == [command.pid])  # fmt: skip
        command.communicate(timeout=20)
        assert command.returncode == 4
    stage.plan()
    stage.deployment.run("start")
    assert stage.deployment.state("es") == "running"
    assert stage.processes() == [stage.row()["pid"]]
    stage.deployment.was_killed = False
