"""Ctrl-C during `pyroctl start`."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.harness import eventually
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from tests.harness import Deployment


def managers(deployment: Deployment) -> list[int]:
    found = deployment.processes().items()
    return [pid for pid, command in found if "-m pyroctl.manager " in command]


def test_no_manager_is_left_that_no_request_has_reached(deployment: Deployment) -> None:
    """It ends in order as soon as it would have answered, and nothing was started."""
    deployment.configure(service("laser", "gate", "/"))
    with deployment.popen("start") as start:
        (manager,) = eventually(lambda: managers(deployment), "the manager starts")
        os.kill(manager, signal.SIGSTOP)
        assert not deployment.listens()
        start.send_signal(signal.SIGINT)
        _, printed = start.communicate(timeout=50)
        os.kill(manager, signal.SIGCONT)
    assert start.returncode == 130
    assert "go on" not in printed
    eventually(lambda: not deployment.processes(), "the manager ends")
    assert "has gone, and nothing runs: it ends" in deployment.manager_log()
    assert "laser is starting" not in deployment.manager_log()
    assert "without shutting down" not in deployment.run("start").stderr


def test_what_was_begun_goes_on(deployment: Deployment) -> None:
    """The command reports that and exits with 130."""
    gate = deployment.root / "gate"
    deployment.configure(service("laser", "gate", str(gate)))
    with deployment.popen("start") as start:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("laser") == "starting")
        start.send_signal(signal.SIGINT)
        _, printed = start.communicate(timeout=50)
    assert start.returncode == 130
    assert f"go on starting: pyroctl --root {deployment.root} status shows them\n" in printed
    gate.touch()
    eventually(lambda: deployment.state("laser") == "running")
