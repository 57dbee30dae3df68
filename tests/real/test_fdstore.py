"""The descriptor store, which keeps descriptors for the next manager, dies, hangs, and exits."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

from tests.harness import eventually, is_alive
from tests.real.test_adoption import ADOPT, chatty, kill_manager, store, stores, zoo
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from tests.harness import Deployment


def test_a_dead_store_is_replaced(deployment: Deployment) -> None:
    """A new one is started, and has all that the first one had."""
    deployment.configure(ADOPT + service("laser", "gate", "/") + chatty(deployment.root))
    deployment.run("start")
    pids = {name: deployment.service(name)["pid"] for name in ("laser", "chatty")}
    first = store(deployment)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: "starting another" in deployment.manager_log())
    eventually(lambda: stores(deployment) - {first}, "another store")
    log = deployment.root / "logs" / "chatty.log"
    inode = log.stat().st_ino
    eventually(lambda: log.stat().st_ino != inode, "it logs on, and the log is put aside")
    kill_manager(deployment)
    deployment.run("start")
    assert {name: deployment.service(name)["pid"] for name in pids} == pids


def test_without_manager_and_store_all_services_restart(deployment: Deployment) -> None:
    """Unreachable old processes are ended first: no service runs twice."""
    mule = service("mule", "stubborn", more="stop_timeout = 0.3")
    deployment.configure(ADOPT + service("laser", "gate", "/") + mule)
    deployment.run("start")
    old = zoo(deployment)
    other = store(deployment)
    manager = deployment.manager_pid()
    os.kill(manager, signal.SIGSTOP)
    for pid in (other, manager):
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: not is_alive(pid))
    assert re.search(r"[123] process(es)? left by it w", deployment.run("start").stderr)
    assert not any(map(is_alive, old))
    assert len(zoo(deployment)) == 3


def test_a_frozen_store_does_not_block_the_next_manager(deployment: Deployment) -> None:
    """It has five seconds to answer; then it is ended with all that it kept."""
    deployment.configure(ADOPT + service("laser", "gate", "/"))
    deployment.run("start")
    frozen = store(deployment)
    kill_manager(deployment)
    os.kill(frozen, signal.SIGSTOP)
    deployment.run("start")
    assert not is_alive(frozen)
    assert "the descriptor store is unusable (it doesn't answer)" in deployment.manager_log()
    assert len(zoo(deployment)) == 1


def test_the_store_exits_when_no_process_is_left(deployment: Deployment) -> None:
    """After the manager and all services have died, none of our processes remains."""
    deployment.configure(ADOPT + service("laser", "gate", "/"))
    deployment.run("start")
    pid = deployment.service("laser")["pid"]
    kill_manager(deployment)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not deployment.processes(), "all ended")
    assert deployment.run("status", code=3).stdout.startswith("no manager is running")
    deployment.was_killed = True  # the store's and the manager's sockets lie there
