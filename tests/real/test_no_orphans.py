"""A manager that is killed at the worst moment leaves no process."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually

if TYPE_CHECKING:
    from tests.harness import Deployment

SERVICES = 30


def sleepers(deployment: Deployment) -> int:
    return sum(command.startswith("sleep 7") for command in deployment.processes().values())


def kill(deployment: Deployment, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    deployment.was_killed = True


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.01, 0.02, 0.04])
def test_a_manager_killed_while_it_starts_many_leaves_none(
    deployment: Deployment, delay: float
) -> None:
    """A process is ended whether or not the manager could report it to its cleanup process."""
    deployment.configure(
        "".join(
            f'[services.s{number}]\nkind = "command"\ncommand = ["sleep", "7{number}"]\n'
            "ready = { delay = 0 }\n"
            for number in range(SERVICES)
        )
    )
    with deployment.popen("run") as manager:
        eventually(lambda: sleepers(deployment) > 0)
        time.sleep(delay)  # somewhere among the starts
        kill(deployment, manager.pid)
        manager.wait()
        eventually(lambda: not deployment.processes(), "all ended", 5)


def test_a_detached_process_does_not_outlive_a_killed_manager(deployment: Deployment) -> None:
    """A process that made a session of its own is found by its environment."""
    deployment.configure(
        '[services.daemon]\nkind = "command"\nready = { delay = 0 }\n'
        'command = ["sh", "-c", "setsid sleep 71 & exec sleep 72"]\n'
    )
    deployment.run("start")
    eventually(lambda: sleepers(deployment) == 2)
    kill(deployment, deployment.manager_pid())
    eventually(lambda: not deployment.processes(), "all ended", 5)


def test_a_killed_manager_costs_no_other_deployment_anything(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The cleanup process ends only its own manager's services: others have another mark."""
    other = type(deployment)(tmp_path_factory.mktemp("other"))
    for each in (deployment, other):
        each.configure(
            '[services.s]\nkind = "command"\ncommand = ["sleep", "73"]\nready = { delay = 0 }\n'
        )
        each.run("start")
    kill(deployment, deployment.manager_pid())
    eventually(lambda: not deployment.processes(), "all ended", 5)
    assert sleepers(other) == 1
    other.close()
