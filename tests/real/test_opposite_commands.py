"""Two people with two terminals: commands that contradict each other, at the same moment."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from tests.harness import Deployment

WAITS = "waiting for another command: {}"


def test_a_stop_during_a_start_comes_after_it(deployment: Deployment) -> None:
    """It says for whom it waits; both are done, and the last one counts."""
    gate = deployment.root / "gate"
    deployment.configure(service("laser", "gate", str(gate)))
    with deployment.popen("start", "laser") as start:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("laser") == "starting")
        with deployment.popen("stop", "laser") as stop:
            assert stop.stderr is not None
            assert stop.stderr.readline().strip() == WAITS.format("start laser")
            gate.touch()
            _, said = start.communicate(timeout=30)
            assert (start.returncode, "laser running" in said) == (0, True)
            _, said = stop.communicate(timeout=30)
            assert (stop.returncode, "laser stopped" in said) == (0, True)
    assert deployment.state("laser") == "stopped"


def test_a_start_during_a_stop_comes_after_it(deployment: Deployment) -> None:
    """Nothing is there twice, and what comes up is a fresh process."""
    deployment.configure(service("mule", "stubborn") + 'stop_timeout = 40\nrestart = "never"\n')
    deployment.run("start")
    before = deployment.service("mule")["pid"]
    with deployment.popen("stop", "mule") as stop:
        eventually(lambda: deployment.state("mule") == "stopping")
        with deployment.popen("start", "mule") as start:
            assert start.stderr is not None
            assert start.stderr.readline().strip() == WAITS.format("stop mule")
            os.killpg(before, signal.SIGKILL)
            _, said = stop.communicate(timeout=30)
            assert (stop.returncode, "mule stopped" in said) == (0, True)
            _, said = start.communicate(timeout=30)
            assert (start.returncode, "mule running" in said) == (0, True)
    row = deployment.service("mule")
    assert (row["state"], row["pid"] != before) == ("running", True)
    os.killpg(row["pid"], signal.SIGKILL)  # or the end of the test waits for the time-out


def test_a_shutdown_waits_for_nobody(deployment: Deployment) -> None:
    """The start that it interrupts is told so, and fails; the manager is gone."""
    deployment.configure(service("laser", "gate", str(deployment.root / "gate")))
    with deployment.popen("start") as start:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("laser") == "starting")
        deployment.run("shutdown")
        _, said = start.communicate(timeout=30)
    assert start.returncode == 1
    assert "laser was stopped before it was ready" in said
    assert deployment.state("laser") == "stopped"


@pytest.mark.parametrize("turn", range(3))
def test_at_the_same_instant(deployment: Deployment, turn: int) -> None:
    """Whoever is first, both are done one after the other, and the state is that of the second."""
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
