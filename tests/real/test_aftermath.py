"""The start of a manager after one that ended without shutting down."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.harness import Deployment, eventually, is_alive
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from pathlib import Path


def mark(deployment: Deployment) -> Path:
    return deployment.root / "state" / "manager.lock"


def test_the_next_start_says_what_happened(deployment: Deployment) -> None:
    """stderr and the log name pid, time and number of ended services, once."""
    deployment.configure(service("laser", "gate", "/") + service("feed", "gate", "/"))
    deployment.run("start")
    pid = deployment.manager_pid()
    deployment.kill_manager()
    eventually(lambda: not deployment.processes())
    said = deployment.run("start").stderr
    assert f"the last manager (pid {pid}) ended without shutting down at 20" in said
    assert "2 services were ended with it" in said
    assert f"(pid {pid}) ended without shutting down" in deployment.manager_log()
    deployment.run("shutdown")
    assert "without shutting down" not in deployment.run("start").stderr
    deployment.was_killed = False


def test_what_even_the_guard_could_not_end_is_ended_by_the_next_start(
    deployment: Deployment,
) -> None:
    """With manager and cleanup process killed, a stubborn service is not started twice."""
    deployment.configure(service("mule", "stubborn", more="stop_timeout = 0.3"))
    deployment.run("start")
    (guard,) = [pid for pid, c in deployment.processes().items() if "cleanup_process.py" in c]
    manager = deployment.manager_pid()
    mules = [pid for pid, c in deployment.processes().items() if "zoo.py" in c]
    os.kill(manager, signal.SIGSTOP)  # or it would replace the guard
    os.kill(guard, signal.SIGKILL)
    eventually(lambda: not is_alive(guard))
    os.kill(manager, signal.SIGKILL)
    eventually(lambda: not is_alive(manager))
    assert all(map(is_alive, mules))
    said = deployment.run("start").stderr
    assert "2 processes left by it were ended now" in said
    assert not any(map(is_alive, mules))
    assert len([c for c in deployment.processes().values() if "zoo.py" in c]) == 2


def test_a_mark_of_before_the_machine_was_restarted_ends_nobody(deployment: Deployment) -> None:
    """The pid in another boot's lock file may belong to an unrelated process."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    deployment.run("shutdown")
    mark(deployment).write_text(f"{os.getpid()} 0a0b0c0d-0000\n")
    said = deployment.run("start").stderr
    assert f"the machine was restarted while a manager (pid {os.getpid()}) was running" in said
    assert deployment.state("laser") == "running"


def test_a_mark_that_says_nothing_is_no_obstacle(deployment: Deployment) -> None:
    """Garbage in the files that a manager leaves is ignored."""
    deployment.configure(service("laser", "gate", "/"))
    (deployment.root / "state").mkdir(mode=0o700)
    for name in ("manager.lock", "guard.lock"):
        (deployment.root / "state" / name).write_bytes(b"\xff\0 garbage \n" * 50)
    assert "last manager" not in deployment.run("start").stderr
    assert deployment.state("laser") == "running"
