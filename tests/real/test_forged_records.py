"""Records that don't match the processes: no other process is touched, the service restarts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pyroctl.core.record import RunRecord, UnitRecord, to_json
from pyroctl.core.state import ServiceState, State
from pyroctl.manager import lock
from pyroctl.manager.fdstore.client import FdStoreClient
from pyroctl.manager.process.procfs import start_time
from pyroctl.paths import deployment_paths
from tests.harness import Deployment, eventually
from tests.real.test_adoption import ADOPT
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A session leader, as a service is, but an unrelated process."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        yield process
        process.kill()


@contextlib.contextmanager
def store_with(deployment: Deployment, pid: int, record: dict[str, Any]) -> Iterator[None]:
    """Store that record of `laser`, and exit like a killed manager."""
    paths = deployment_paths(None, str(deployment.root), {})
    lock.make_directories(paths)
    fdstore = FdStoreClient(paths)

    async def store() -> None:
        fdstore.start().close()
        fdstore.attach(lambda: None)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            fdstore.sync("laser", {f"laser/{pid}/control": ours.fileno()}, {}, record)
            await fdstore.flush()
        assert fdstore._link is not None
        fdstore._link.close()

    asyncio.run(store())
    yield
    assert fdstore._process is not None
    fdstore._process.wait(20)


def record_of(pid: int, started: int) -> UnitRecord:
    run = RunRecord(pid, started, "/nowhere", 1, ready_since=1.0)
    return UnitRecord(ServiceState(State.RUNNING, since=1.0, restarts=3), runs=(run,), run=pid)


def test_a_pid_that_is_used_again_is_neither_adopted_nor_killed(
    deployment: Deployment, bystander: subprocess.Popen[bytes]
) -> None:
    """Its start time differs: the service counts as dead, and its policy decides."""
    deployment.configure(ADOPT + service("laser", "gate", "/", more="restart_delay = 0"))
    started = start_time(bystander.pid)
    assert started
    record = to_json(record_of(bystander.pid, started - 1))
    with store_with(deployment, bystander.pid, record):
        deployment.run("start")
        row = eventually(lambda: (r := deployment.service("laser"))["state"] == "running" and r)
        assert row["pid"] != bystander.pid
        assert row["restarts"] == 4
        assert "unknown exit code" in row["history"][-1]["exit"]["text"]
        deployment.run("shutdown")
    assert bystander.poll() is None


@pytest.mark.parametrize("record", [{"version": 99}, {}, {"version": 1, "life": 7}])
def test_an_unreadable_record_is_ignored(
    deployment: Deployment, bystander: subprocess.Popen[bytes], record: dict[str, Any]
) -> None:
    """The log reports it, and the service starts as if there were no record."""
    deployment.configure(ADOPT + service("laser", "gate", "/"))
    with store_with(deployment, bystander.pid, record):
        deployment.run("start")
        assert "the record of laser can't be read" in deployment.manager_log()
        assert (deployment.state("laser"), deployment.service("laser")["restarts"]) == (
            "running",
            0,
        )
        deployment.run("shutdown")
    assert bystander.poll() is None
