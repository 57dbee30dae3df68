"""An idle manager: it uses memory only for itself, and never wakes up."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness import eventually

if TYPE_CHECKING:
    from tests.harness import Deployment

SERVICES = 20
QUIET = 2.0
"""Seconds."""
NOT_IN_THE_MANAGER = {"click", "platformdirs", "psutil", "pydantic", "Pyro5", "rich", "tomlkit"}
EVERYTHING = """
import pkgutil, sys
import pyroctl.cli.fast_path, pyroctl.cli.foreground, pyroctl.manager
for module in pkgutil.walk_packages(pyroctl.manager.__path__, "pyroctl.manager."):
    if not module.name.endswith(("__main__", "shim")):
        __import__(module.name)
print(*sys.modules)
"""


def switches(deployment: Deployment) -> dict[int, list[str]]:
    """Return the context switches of the manager and its cleanup process, from /proc/PID/status."""
    found = {}
    for pid, command in deployment.processes().items():
        if not command.startswith("sleep"):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            found[pid] = [line for line in lines if "ctxt_switches" in line]
    return found


def unchanged(deployment: Deployment) -> bool:
    before = switches(deployment)
    time.sleep(QUIET)  # sleep: that nothing happens can only be seen by waiting
    return switches(deployment) == before


def many(deployment: Deployment) -> None:
    deployment.configure(
        "".join(
            f'[services.s{number}]\nkind = "command"\ncommand = ["sleep", "74{number}"]\n'
            "ready = { delay = 0 }\n"
            for number in range(SERVICES)
        )
    )
    deployment.run("start")


def test_nothing_wakes_the_manager_up_while_nothing_happens(deployment: Deployment) -> None:
    """Neither the manager nor its cleanup process is scheduled once."""
    many(deployment)
    assert len(switches(deployment)) == 2
    eventually(lambda: unchanged(deployment), f"{QUIET} s without a context switch")


def test_what_checks_the_configuration_is_not_in_the_manager(deployment: Deployment) -> None:
    """A separate process loads it, also for a reload."""
    many(deployment)
    deployment.configure('[services.one]\nkind = "command"\ncommand = ["sleep", "75"]\n')
    deployment.run("reload")
    pid = deployment.manager_pid()
    assert "pydantic" not in Path(f"/proc/{pid}/maps").read_text()


def test_the_manager_imports_little() -> None:
    """Its modules and the fast path of `run` import only the standard library."""
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING], capture_output=True, text=True, check=True
    )
    assert not NOT_IN_THE_MANAGER & {name.partition(".")[0] for name in done.stdout.split()}
