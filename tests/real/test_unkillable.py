"""Processes that survive SIGKILL: the manager reports them and exits anyway.

Such a process is blocked in the kernel, here by a debugger that traces its exit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually, is_alive
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Deployment

DEBUGGER = """
import ctypes, os, signal, sys
PTRACE_SEIZE, PTRACE_O_TRACEEXIT = 0x4206, 0x40
libc = ctypes.CDLL(None, use_errno=True)
failed = libc.ptrace(PTRACE_SEIZE, int(sys.argv[1]), None, ctypes.c_void_p(PTRACE_O_TRACEEXIT))
print(os.strerror(ctypes.get_errno()) if failed else "holds it", flush=True)
while not failed:
    signal.pause()
"""


@contextlib.contextmanager
def held(pid: int) -> Iterator[None]:
    """Keep a process from exiting until the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", DEBUGGER, str(pid)], stdout=subprocess.PIPE, text=True
    ) as debugger:
        try:
            assert debugger.stdout is not None
            answer = debugger.stdout.readline().strip()
            if answer != "holds it":
                pytest.skip(f"ptrace: {answer}")
            yield
        finally:
            debugger.kill()


def test_shutdown_names_what_it_cannot_end_and_ends(deployment: Deployment) -> None:
    """It exits with 1 in bounded time and lists service and pids; all others are stopped."""
    deployment.configure(
        service("disk", "gate", "/", more="stop_timeout = 0.3") + service("laser", "gate", "/")
    )
    deployment.run("start")
    manager = deployment.manager_pid()
    pids = {name: deployment.service(name)["pid"] for name in ("disk", "laser")}
    with held(pids["disk"]):
        envelope = deployment.json("shutdown", code=1)
        (error,) = envelope["errors"]
        assert envelope["status"] == "error"
        assert (error["code"], error["service"]) == ("not-ended", "disk")
        assert error["pids"] == [pids["disk"]]
        assert f"process {pids['disk']} survived SIGKILL" in error["message"]
        assert not is_alive(manager)
        assert not is_alive(pids["laser"])
        eventually(
            lambda: list(deployment.processes()) == [pids["disk"]], "the cleanup process gives up"
        )
    output = deployment.run("start").stderr
    assert f"the last manager (pid {manager}) ended without shutting down" in output


def test_stop_and_restart_report_it_too(deployment: Deployment) -> None:
    """Exit 1; the service stays `stopping`, and is stopped when the process does end."""
    deployment.configure(service("disk", "gate", "/", more="stop_timeout = 0.3"))
    deployment.run("start")
    pid = deployment.service("disk")["pid"]
    with held(pid):
        assert "disk could not be stopped" in deployment.run("restart", "disk", code=1).stderr
        assert f"process {pid}" in deployment.run("stop", code=1).stderr
        assert deployment.state("disk") == "stopping"
    eventually(lambda: deployment.state("disk") == "stopped")


@pytest.mark.parametrize("orphans", ["stop", "adopt"])
def test_the_second_signal_ends_the_manager_at_once(deployment: Deployment, orphans: str) -> None:
    """An unkillable and a slow service do not delay it; exit 1, and no process is left."""
    deployment.configure(
        f'[manager]\norphans = "{orphans}"\n'
        + service("base", "gate", "/")
        + service("disk", "gate", "/", more='needs = ["base"]\nstop_timeout = 60')
        + service("mule", "stubborn", more="stop_timeout = 60")
    )
    with deployment.popen("run") as run:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("disk") == "running")
        eventually(lambda: deployment.state("mule") == "running")
        with held(deployment.service("disk")["pid"]):
            run.terminate()
            eventually(lambda: deployment.state("disk") == "stopping")
            run.terminate()
            began = time.monotonic()
            _, output = run.communicate(timeout=20)
            assert time.monotonic() - began < 15
            assert run.returncode == 1
            assert "disk could not be stopped" in output
            assert "mule could not be stopped" not in output
            deployment.was_killed = True  # it had no time to remove every socket
    eventually(lambda: not deployment.processes(), "all ended", 8)


def test_the_second_signal_ends_a_manager_that_hangs(deployment: Deployment) -> None:
    """It hangs in opening a log that is a pipe; the cleanup process ends the services."""
    deployment.configure(
        service("laser", "gate", "/") + service("late", "gate", "/", more="enabled = false")
    )
    with deployment.popen("run") as run:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("laser") == "running")
        os.mkfifo(deployment.root / "logs" / "late.log")
        with deployment.popen("start", "late") as start:
            start.communicate(timeout=20)
            assert start.returncode == 4
        for _ in range(2):
            run.send_signal(signal.SIGTERM)
            time.sleep(0.1)  # sleep: two at the same instant are one
        run.communicate(timeout=20)
    assert run.returncode == 1
    deployment.was_killed = True
    eventually(lambda: not deployment.processes(), "all ended", 8)
