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


@pytest.mark.parametrize("stopped", ["laser", "feed", "other"])
def test_a_start_that_hangs_is_given_up_for_a_stop(deployment: Deployment, stopped: str) -> None:
    """This holds before, during and after the start of the service; both commands report it."""
    deployment.configure(
        service("idle", "gate", "/")
        + service("other", "gate", "/")
        + service("laser", "gate", str(deployment.root / "gate"))
        + service("feed", "gate", "/", more='needs = ["laser"]')
    )
    deployment.run("start", "idle")
    with deployment.popen("start", "other", "feed") as start:
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


def test_a_stop_of_something_else_waits_for_a_start(deployment: Deployment) -> None:
    """It reports what it waits for, and both succeed."""
    gate = deployment.root / "gate"
    deployment.configure(service("idle", "gate", "/") + service("laser", "gate", str(gate)))
    deployment.run("start", "idle")
    with deployment.popen("start", "laser") as start:
        eventually(lambda: deployment.state("laser") == "starting")
        with deployment.popen("stop", "idle") as stop:
            assert stop.stderr is not None
            assert stop.stderr.readline().strip() == WAITS.format("start laser")
            gate.touch()
            _, output = start.communicate(timeout=30)
            assert (start.returncode, "laser running" in output) == (0, True)
            _, output = stop.communicate(timeout=30)
            assert (stop.returncode, "idle stopped" in output) == (0, True)


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
