"""A disk that becomes read-only while everything runs."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import Deployment

MODES = ("stop", "adopt")
TICK = """
import itertools, time
for n in itertools.count():
    print("tick", n, flush=True)
    time.sleep(0.05)
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")


@contextlib.contextmanager
def mounted(directory: Path, *steps: list[str]) -> Iterator[None]:
    """Carry out `mount` commands, of which the first mounts something at the directory."""
    done = 0
    try:
        for step in steps:
            if subprocess.run(["mount", *step], capture_output=True, check=False).returncode:
                pytest.skip("mounting isn't permitted here")
            done += 1
        yield
    finally:
        if done:
            subprocess.run(["umount", "-l", directory], check=True)


@pytest.mark.parametrize("orphans", MODES)
def test_logs_on_a_read_only_disk_cost_the_service_nothing(
    deployment: Deployment, orphans: str
) -> None:
    """It runs on, commands work; lost lines are counted, and the log reports the gap."""
    script = deployment.root / "tick.py"
    script.write_text(TICK)
    deployment.configure(
        f'[manager]\norphans = "{orphans}"\n'
        f'[services.tick]\nkind = "command"\ncommand = ["python", "{script}"]\n'
        + service("laser", "gate", "/")
    )
    deployment.run("start")
    logs = deployment.root / "logs"
    pid = deployment.service("tick")["pid"]
    with mounted(logs, ["-t", "tmpfs", "-o", "ro", "none", str(logs)]):
        eventually(lambda: "could not be written" in deployment.service("tick")["detail"])
        deployment.run("restart", "laser")
        deployment.run("reexec")
        eventually(lambda: "could not be written" in deployment.service("tick")["detail"])
        assert (deployment.service("tick")["pid"], deployment.state("tick")) == (pid, "running")
    words = "are missing here: Read-only file system"
    eventually(lambda: words in deployment.run("logs", "tick", "-n", "9999").stdout)
    deployment.run("restart", "laser")
    eventually(lambda: "laser is running" in deployment.manager_log().rpartition(words)[2])


@pytest.mark.parametrize("orphans", MODES)
def test_a_read_only_runtime_directory_stops_no_service(
    deployment: Deployment, orphans: str
) -> None:
    """Services start and stop, an event service with its state included; reexec works, too."""
    deployment.configure(
        f'[manager]\norphans = "{orphans}"\n'
        '[services.ns]\nkind = "nameserver"\nport = 0\n'
        '[services.es]\nkind = "eventservice"\nneeds = ["ns"]\n' + service("laser", "gate", "/")
    )
    deployment.run("start")
    run = str(deployment.root / "run")
    with mounted(deployment.root / "run", ["--bind", run, run], ["-o", "remount,bind,ro", run]):
        deployment.run("restart", "laser", "es")
        deployment.run("stop")
        deployment.run("start")
        deployment.run("reexec")
        rows = [deployment.service(name) for name in ("laser", "es")]
        assert [row["state"] for row in rows] == ["running", "running"]
        deployment.run("stop")
    deployment.run("start")
