"""Contradictory commands at the same time, as from two terminals."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from tests.harness import Deployment

WAITS = "waiting for another command: {}"


LAB = (
    service("idle", "gate", "/")
    + service("other", "gate", "/")
    + service("laser", "gate", "gate")
    + service("feed", "gate", "/", more='needs = ["laser"]')
)


@pytest.mark.parametrize("stopped", ["laser", "feed", "other"])
def test_a_start_that_hangs_is_given_up_for_a_stop(deployment: Deployment, stopped: str) -> None:
    """An atomic start: before, during and after the start of the service; both report it."""
    deployment.configure(LAB)
    deployment.run("start", "idle")
    with deployment.popen("start", "--atomic", "other", "feed") as start:
        eventually(lambda: deployment.state("other") == "running")
        eventually(lambda: deployment.state("laser") == "starting")
        began = time.monotonic()
        output = deployment.run("stop", stopped).stderr
        assert time.monotonic() < began + 15  # and not the 30 s that a start may take
        assert "cancelling another command: start other feed" in output
        _, output = start.communicate(timeout=30)
    assert (start.returncode, f"another command stops {stopped}" in output) == (1, True)
    states = [deployment.state(name) for name in ("idle", "other", "laser", "feed")]
    assert states == ["running", "stopped", "stopped", "stopped"]


def test_a_start_goes_on_with_what_a_stop_does_not_concern(deployment: Deployment) -> None:
    """The stop doesn't wait, and the start names what was stopped; everything else is up."""
    deployment.configure(LAB)
    with deployment.popen("start") as start:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("other") == "running")
        eventually(lambda: deployment.state("laser") == "starting")
        deployment.run("stop", "other")
        assert (deployment.state("other"), start.poll()) == ("stopped", None)
        (deployment.root / "gate").touch()
        _, said = start.communicate(timeout=30)
    assert (start.returncode, "another command stops other" in said) == (1, True)
    states = [deployment.state(name) for name in ("idle", "other", "laser", "feed")]
    assert states == ["running", "stopped", "running", "running"]


def test_a_stopped_service_no_longer_starts_with_its_need(deployment: Deployment) -> None:
    """A stop of what waits, or of what it waits for, ends the request to start it."""
    deployment.configure(LAB)
    with deployment.popen("start") as start:
        eventually(deployment.listens)
        eventually(lambda: deployment.service("feed")["detail"] == "waiting for laser")
        deployment.run("stop", "feed")
        (deployment.root / "gate").touch()
        _, said = start.communicate(timeout=30)
    assert (start.returncode, "another command stops feed" in said) == (1, True)
    assert (deployment.state("laser"), deployment.state("feed")) == ("running", "stopped")
    assert "feed is starting" not in deployment.manager_log()


def test_a_restart_that_hangs_is_given_up_for_a_stop(deployment: Deployment) -> None:
    """The restart reports that the service was stopped."""
    gate = deployment.root / "gate"
    gate.touch()
    deployment.configure(service("laser", "gate", str(gate)))
    deployment.run("start")
    gate.unlink()
    with deployment.popen("restart", "laser") as restart:
        eventually(lambda: deployment.state("laser") == "starting")
        deployment.run("stop", "laser")
        _, output = restart.communicate(timeout=15)
    assert (restart.returncode, "laser was stopped before it was ready" in output) == (1, True)
    assert deployment.state("laser") == "stopped"


def test_commands_on_unrelated_services_do_not_wait(deployment: Deployment) -> None:
    """Stop, restart and start of others are done while a restart hangs; a reload waits."""
    gate = deployment.root / "gate"
    gate.touch()
    deployment.configure(LAB)
    deployment.run("start", "laser", "idle")
    gate.unlink()
    with deployment.popen("restart", "laser") as restart:
        eventually(lambda: deployment.state("laser") == "starting")
        for command in (("restart", "idle"), ("stop", "idle"), ("start", "other")):
            assert "waiting" not in deployment.run(*command).stderr
        assert (deployment.state("laser"), restart.poll()) == ("starting", None)
        with deployment.popen("reload") as reload, deployment.popen("start", "feed") as start:
            for process in (reload, start):
                assert process.stderr is not None
                assert process.stderr.readline().strip() == WAITS.format("restart laser")
            gate.touch()
            for process in (restart, reload, start):
                process.communicate(timeout=30)
                assert process.returncode == 0


def test_starts_do_not_wait_for_each_other(deployment: Deployment) -> None:
    """Two that need the same service share it, even while another need of one hangs."""
    deployment.configure(LAB + service("camera", "gate", "/", more='needs = ["other"]'))
    with deployment.popen("start", "laser", "other") as start:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("laser") == "starting")
        assert "waiting" not in deployment.run("start", "camera").stderr
        assert (deployment.state("camera"), start.poll()) == ("running", None)
        (deployment.root / "gate").touch()
        start.communicate(timeout=30)
    assert start.returncode == 0


def test_a_start_during_a_stop_comes_after_it(deployment: Deployment) -> None:
    """The service comes up in a new process, and never twice."""
    deployment.configure(service("mule", "stubborn") + 'stop_timeout = 40\nrestart = "never"\n')
    deployment.run("start")
    before = deployment.service("mule")["pid"]
    with deployment.popen("stop", "mule") as stop:
        eventually(lambda: deployment.state("mule") == "stopping")
        with deployment.popen("start", "mule") as start:
            assert start.stderr is not None
            assert start.stderr.readline().strip() == WAITS.format("stop mule")
            os.killpg(before, signal.SIGKILL)
            _, output = stop.communicate(timeout=30)
            assert (stop.returncode, "mule stopped" in output) == (0, True)
            _, output = start.communicate(timeout=30)
            assert (start.returncode, "mule running" in output) == (0, True)
    row = deployment.service("mule")
    assert (row["state"], row["pid"] != before) == ("running", True)
    os.killpg(row["pid"], signal.SIGKILL)  # or the end of the test waits for the time-out


def test_a_shutdown_waits_for_no_command(deployment: Deployment) -> None:
    """The interrupted start fails with the reason, and the manager is gone."""
    deployment.configure(service("laser", "gate", str(deployment.root / "gate")))
    with deployment.popen("start") as start:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("laser") == "starting")
        deployment.run("shutdown")
        _, output = start.communicate(timeout=30)
    assert start.returncode == 1
    assert "laser was stopped before it was ready" in output
    assert deployment.state("laser") == "stopped"


@pytest.mark.parametrize("turn", range(3))
def test_at_the_same_instant(deployment: Deployment, turn: int) -> None:
    """Both commands are carried out in order, and the second one decides the state."""
    deployment.configure(service("job", "serve", ready="{ delay = 0 }"))
    deployment.run("start")
    with deployment.popen("stop", "job") as stop, deployment.popen("restart", "job") as restart:
        _, stopped = stop.communicate(timeout=30)
        _, restarted = restart.communicate(timeout=30)
    assert (stop.returncode, restart.returncode) == (0, 0), stopped + restarted
    waited = {"stop": "waiting" in stopped, "restart": "waiting" in restarted}
    state = deployment.state("job")
    assert state in {"running", "stopped"}
    if any(waited.values()):
        assert waited == {"stop": state == "stopped", "restart": state == "running"}
