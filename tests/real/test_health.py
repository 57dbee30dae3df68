"""Services that run but are unhealthy, and how each kind is detected."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import eventually, reaches

if TYPE_CHECKING:
    from tests.harness import Deployment

HERE = Path(__file__).parent
PATIENTS = HERE / "patients.py"
EAGER = "every = 0.1, timeout = 0.5, failures = 3"
NS = '[services.ns]\nkind = "nameserver"\nport = 0\n'


def patient(*words: str, ready: str = '"notify"', watchdog: str = "", more: str = "") -> str:
    command = ", ".join(f'"{word}"' for word in ("python", PATIENTS, *words))
    watched = f"watchdog = {{ {EAGER}{watchdog} }}\n" if watchdog != "none" else ""
    return (
        f'[services.ill]\nkind = "command"\ncommand = [{command}]\nready = {ready}\n'
        f"restart_delay = 0\nstart_limit = 100\n{watched}{more}\n"
    )


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as server:
        return int(server.getsockname()[1])


def fails_its_check(deployment: Deployment, gate: Path, reason: str) -> dict[str, Any]:
    """Open the gate, wait for the end of the present process, and return how it ended."""
    pid = deployment.service("ill")["pid"]
    gate.touch()

    def endings() -> list[dict[str, Any]]:
        return [each for each in deployment.service("ill")["history"] if each["pid"] == pid]

    (ending,) = eventually(endings)
    assert reason in ending["reason"]
    assert f"{reason}" in deployment.manager_log()
    return ending


def test_a_service_that_stops_sending_watchdog_messages(deployment: Deployment) -> None:
    """Its environment has the period for WATCHDOG=1, as under systemd, and silence ends it."""
    gate = deployment.root / "gate"
    deployment.configure(patient("quiet", str(gate)))
    deployment.run("start")
    reaches(deployment.root / "gate.count", 15)  # four a period: three times what it has
    assert deployment.service("ill")["history"] == []
    ending = fails_its_check(deployment, gate, "gave no sign of life for 0.3 s")
    assert (ending["exit"]["text"], ending["then"]) == ("killed by SIGKILL", "starting")
    assert ending["uptime_s"] >= 1


@pytest.mark.parametrize("where", ["ready", "watchdog"])
def test_a_port_that_no_longer_listens(deployment: Deployment, where: str) -> None:
    """The port that made it ready is probed, or the one that the watchdog names."""
    gate, port = deployment.root / "gate", free_port()
    own = f", port = {port}" if where == "watchdog" else ""
    ready = f"{{ port = {port} }}" if where == "ready" else "{ delay = 0.5 }"
    deployment.configure(patient("deaf", str(port), str(gate), ready=ready, watchdog=own))
    deployment.run("start")
    reason = "failed 3 checks" if own else "did not answer 3 pings"
    fails_its_check(deployment, gate, reason)


def test_a_check_command_that_fails(deployment: Deployment) -> None:
    """The command runs as the service does; one that hangs is killed, and counts as a failure."""
    gate = deployment.root / "gate"
    check = f', command = ["sh", "-c", "test ! -e {gate} || sleep 100"]'
    deployment.configure(patient("greedy", "1", str(gate), watchdog=check))
    deployment.run("start")
    fails_its_check(deployment, gate, "failed 3 checks")
    gate.unlink()
    eventually(lambda: deployment.state("ill") == "running")
    deployment.run("stop")
    eventually(lambda: not [c for c in deployment.processes().values() if "sleep 100" in c])


@pytest.mark.parametrize("servertype", ["multiplex", "thread"])
def test_a_stock_pyro_object_that_hangs(deployment: Deployment, servertype: str) -> None:
    """A call as clients make it, by name, detects it, although its process lives."""
    gate = deployment.root / "gate"
    ready = '{ pyro_name = "lab.sensor" }'
    ill = patient("pyro", str(gate), servertype, ready=ready, more='needs = ["ns"]')
    deployment.configure(NS + ill)
    deployment.run("start")
    reaches(deployment.root / "gate.count", 9)  # three times as many as make it unhealthy
    assert deployment.service("ill")["history"] == []
    if servertype == "multiplex":
        fails_its_check(deployment, gate, "did not answer 3 pings")
    else:  # another thread answers: it takes more to silence this one
        os.kill(deployment.service("ill")["pid"], signal.SIGSTOP)
        eventually(lambda: deployment.service("ill")["history"])


@pytest.mark.parametrize("more", ["", 'nathost = "elsewhere.invalid"\nnatport = 7\n'])
def test_an_object_that_hangs(deployment: Deployment, more: str) -> None:
    """Kind object is probed where it listens, not at its clients' address; it restarts there."""
    greetings = deployment.root / "greetings"
    deployment.configure(
        '[services.ill]\nkind = "object"\nobject = "things:greeted()"\nrestart_delay = 0\n'
        f'path = "{HERE}"\nservertype = "multiplex"\nwatchdog = {{ {EAGER} }}\n{more}'
        f'env = {{ GREETINGS = "{greetings}" }}\n'
    )
    deployment.run("start")
    reaches(greetings, 9)  # three times as many as make it unhealthy
    before = deployment.service("ill")
    assert before["history"] == []
    os.kill(before["pid"], signal.SIGSTOP)
    eventually(lambda: deployment.service("ill")["history"])
    row = eventually(lambda: (r := deployment.service("ill"))["state"] == "running" and r)
    assert row["uri"] == before["uri"]
    ending = row["history"][-1]
    assert (ending["reason"], ending["exit"]["text"]) == (
        "did not answer 3 pings",
        "killed by SIGKILL",
    )


def test_too_much_memory(deployment: Deployment) -> None:
    """All its processes count together; it is stopped in order, and started again."""
    gate = deployment.root / "gate"
    limit = "max_rss = 80_000_000\nwindow = 0.5\n"
    ill = patient("greedy", "100", str(gate), watchdog="none", more=limit)
    other = ill.replace("services.ill", "services.other").replace(str(gate), "/")
    deployment.configure(ill + other)
    deployment.run("start")
    eventually(lambda: len(deployment.service("other")["history"]) >= 2, "the window is over twice")
    assert deployment.service("ill")["history"] == []
    ending = fails_its_check(deployment, gate, "MB of memory, more than max_rss (80.0 MB)")
    assert ending["exit"]["text"] == "killed by SIGTERM"


def test_too_much_processor_time(deployment: Deployment) -> None:
    """An endless loop is detected, also when the machine is busy."""
    gate = deployment.root / "gate"
    limit = "max_cpu = 10\nwindow = 0.5\n"
    deployment.configure(patient("busy", str(gate), watchdog="none", more=limit))
    deployment.run("start")
    fails_its_check(deployment, gate, "% of a processor, more than max_cpu (10 %)")


def test_limits_can_be_changed_while_it_runs(deployment: Deployment) -> None:
    """A reload puts them into effect without a restart."""
    gate = deployment.root / "gate"
    path = deployment.configure(patient("busy", str(gate), watchdog="none"))
    deployment.run("start")
    pid = deployment.service("ill")["pid"]
    path.write_text(path.read_text() + "max_cpu = 10\nwindow = 0.5\n")
    deployment.run("reload")
    assert deployment.service("ill")["pid"] == pid
    fails_its_check(deployment, gate, "more than max_cpu")


def test_the_history_shows_why(deployment: Deployment) -> None:
    """The table has the newest run first, with commands and causes of death."""
    deployment.configure(patient("greedy", "1", "/none", watchdog="none"))
    deployment.run("start")
    deployment.run("restart", "ill")
    os.kill(deployment.service("ill")["pid"], signal.SIGSEGV)
    eventually(lambda: (r := deployment.service("ill"))["restarts"] and r["state"] == "running")
    shown = deployment.run("status", "ill").stdout
    assert "ill: recent runs" in shown
    died, asked = "killed by SIGSEGV", "restart requested (killed by SIGTERM)"
    assert shown.index(died) < shown.index(asked)
    keys = {"time", "pid", "exit", "reason", "uptime_s", "then"}
    assert all(entry.keys() == keys for entry in deployment.service("ill")["history"])
    assert "history" not in deployment.json("status")["data"]["services"][0]


def test_a_background_daemon_is_reported_and_ended(deployment: Deployment) -> None:
    """Status lists a daemon that left the session, and it stops with its service."""
    deployment.configure(patient("background", "stays", watchdog="none"))
    deployment.run("start")
    assert "(python" in deployment.service("ill")["detail"]
    assert "went into the background" in deployment.service("ill")["detail"]
    deployment.run("stop", "ill")
    assert not [c for c in deployment.processes().values() if "patients.py" in c]


def test_a_service_that_is_a_daemon_fails_and_leaves_nothing(deployment: Deployment) -> None:
    """Before each new try the last one's daemon has ended; the reason has a fix."""
    deployment.configure(
        patient("background", "leaves", watchdog="none", more="").replace("100", "3")
    )
    found = deployment.run("start", code=1)
    assert "went into the background: run it in the foreground" in found.stderr
    eventually(lambda: not [c for c in deployment.processes().values() if "patients.py" in c])


def test_a_stubborn_daemon_is_killed(deployment: Deployment) -> None:
    """It is killed with all its children after stop_timeout; then the stop returns."""
    deployment.configure(patient("stubborn_background", watchdog="none", more="stop_timeout = 0.5"))
    deployment.run("start")
    assert len([c for c in deployment.processes().values() if "patients.py" in c]) == 3
    deployment.run("stop", "ill")
    assert not [c for c in deployment.processes().values() if "patients.py" in c]


def switches(pid: int) -> int:
    """Count how often any thread of a process was woken up."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total


def test_a_manager_that_has_nothing_to_do_sleeps(deployment: Deployment) -> None:
    """It never wakes up: idle services without a watchdog cost nothing."""
    deployment.configure(NS + patient("greedy", "1", "/none", watchdog="none"))
    deployment.run("start")
    manager = deployment.manager_pid()

    def idle() -> bool:
        before = switches(manager)
        time.sleep(3)  # sleep: that nothing happens can only be seen by waiting
        return switches(manager) == before

    assert idle() or idle()  # what the start left to do is done after the first
