"""Services that no longer answer, and machines that sleep."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually
from tests.real.test_main_job import PAIR, exchange

if TYPE_CHECKING:
    from tests.harness import Deployment

EAGER = "watchdog = { every = 0.1, timeout = 0.3, failures = 3 }\n"


@pytest.mark.parametrize("name", ["ns", "es"])
def test_a_service_that_hangs_is_killed_and_started_again(
    deployment: Deployment, name: str
) -> None:
    """Status and the logs show why; it serves again at the same address."""
    deployment.configure(PAIR.replace(f"[services.{name}]\n", f"[services.{name}]\n{EAGER}"))
    deployment.run("start")
    before = deployment.service(name)
    os.kill(before["pid"], signal.SIGSTOP)
    row = eventually(
        lambda: (r := deployment.service(name))["state"] == "running" and r["restarts"] and r
    )
    assert (row["restarts"], row["uri"]) == (1, before["uri"])
    assert "did not answer 3 pings" in row["history"][-1]["reason"]
    assert "did not answer 3 pings: killed" in deployment.run("logs", name).stdout
    assert "did not answer 3 pings" in deployment.manager_log()
    exchange(deployment.service("es")["uri"])


def test_the_sleep_of_the_machine_kills_no_service(deployment: Deployment) -> None:
    """After everything was stopped for longer than any time-out, no service counts as hung."""
    deployment.configure(PAIR.replace("restart_delay = 0\n", f"restart_delay = 0\n{EAGER}"))
    deployment.run("start")
    pid = deployment.service("es")["pid"]
    manager = deployment.manager_pid()
    for _ in range(2):
        everybody = [manager, *(p for p in deployment.processes() if p != manager)]
        for each in everybody:
            os.kill(each, signal.SIGSTOP)
        time.sleep(2)  # sleep: as long as the machine sleeps
        for each in everybody:
            os.kill(each, signal.SIGCONT)
        row = deployment.service("es")
        assert (row["pid"], row["restarts"], row["state"]) == (pid, 0, "running")
    exchange(deployment.service("es")["uri"])
    assert "did not answer" not in deployment.manager_log()


def test_without_a_watchdog_there_are_no_probes(deployment: Deployment) -> None:
    """With `watchdog = false` a stopped service, for example under a debugger, stays.

    Another one, stopped later, is killed.
    """
    deployment.configure(
        PAIR.replace("restart_delay = 0\n", "watchdog = false\n")
        + f'[services.watched]\nkind = "nameserver"\nport = 0\n{EAGER}'
    )
    deployment.run("start")
    row = deployment.service("es")
    os.kill(row["pid"], signal.SIGSTOP)
    os.kill(deployment.service("watched")["pid"], signal.SIGSTOP)
    eventually(lambda: deployment.service("watched")["restarts"])
    os.kill(row["pid"], signal.SIGCONT)
    after = deployment.service("es")
    assert (after["pid"], after["restarts"]) == (row["pid"], 0)
