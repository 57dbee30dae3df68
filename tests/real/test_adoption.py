"""`orphans = "adopt"`: services survive a killed manager, and the next one takes over."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Publisher, Subscriber
from pyroctl.paths import log_versions
from tests.harness import Deployment, eventually, is_alive
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from collections.abc import Iterator

ADOPT = '[manager]\norphans = "adopt"\n'
GATE = """
import os, socket, sys, time
def notify(message):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(message, b"\\0" + os.environ["NOTIFY_SOCKET"][1:].encode())
notify(b"READY=1")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
notify(b"STATUS=the gate is open")
time.sleep(1000)
"""
EVERYBODYS = "/usr/bin:/usr/local/bin:/bin"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch users")
COUNT = """
import itertools, sys
for number in itertools.count():
    print("line", number, flush=number % 100 == 0)
"""


def kill_manager(deployment: Deployment) -> int:
    """Kill -9, and wait until it is dead; returns its pid."""
    pid = deployment.manager_pid()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid))
    return pid


def stores(deployment: Deployment) -> set[int]:
    return {pid for pid, c in deployment.processes().items() if "fdstore.server" in c}


def store(deployment: Deployment) -> int:
    (pid,) = stores(deployment)
    return pid


def zoo(deployment: Deployment) -> list[int]:
    return [pid for pid, c in deployment.processes().items() if "zoo.py" in c]


def chatty(directory: Path) -> str:
    script = directory / "count.py"
    script.write_text(COUNT)
    command = json.dumps([sys.executable, str(script)])
    log = "log = { max_bytes = 1_000_000, keep = 10_000 }"
    return f'[services.chatty]\nkind = "command"\ncommand = {command}\n{log}\n'


@pytest.fixture
def gate() -> Iterator[Path]:
    """A file that doesn't exist yet, in a directory that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory) / "gate"


def another_users(gate: Path) -> str:
    """A service that runs as `nobody`, in a Python readable by that user; reports the open gate."""
    if not shutil.which("python3", path=EVERYBODYS):
        pytest.skip("no Python for everybody here")
    command = json.dumps(["env", "python3", "-c", GATE, str(gate)])  # not ours
    return (
        f'[services.laser]\nkind = "command"\ncommand = {command}\nready = "notify"\n'
        f'user = "nobody"\ncwd = "/"\nenv = {{ PATH = "{EVERYBODYS}" }}\n'
    )


def test_the_next_manager_continues_with_the_same_processes(deployment: Deployment) -> None:
    """Pid, uptime, address, restarts and history are kept, and no process runs twice."""
    config = ADOPT + service("laser", "gate", "/", more="restart_delay = 0")
    config += service("off", "gate", "/", more="enabled = false")
    deployment.configure(config)
    deployment.run("start")
    os.kill(deployment.service("laser")["pid"], signal.SIGKILL)
    before = eventually(
        lambda: (r := deployment.service("laser"))["restarts"] and r["uptime_s"] and r
    )
    manager = kill_manager(deployment)
    printed = deployment.run("start").stderr
    assert f"the last manager (pid {manager}) ended without shutting down at 20" in printed
    assert "1 service was reattached" in printed
    assert "ended" not in printed.partition("shutting down")[2]
    after = deployment.service("laser")
    kept = ("pid", "uri", "restarts", "exit", "history")
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert (after["restarts"], after["exit"]["signal"]) == (1, 9)
    assert after["uptime_s"] > before["uptime_s"]
    assert zoo(deployment) == [after["pid"]]
    assert deployment.state("off") == "stopped"
    deployment.run("start", "off")
    assert "was reattached" in deployment.run("logs", "laser").stdout


def test_a_hundred_services_are_taken_over(deployment: Deployment) -> None:
    """All of them, each with its own process."""
    sleep = 'kind = "command"\ncommand = ["sleep", "1000"]\nready = { delay = 0 }\n'
    deployment.configure(ADOPT + "".join(f"[services.s{n}]\n{sleep}" for n in range(100)))

    def pids() -> dict[str, int]:
        rows = deployment.json("status", code=None)["data"]["services"]
        return {row["name"]: row["pid"] for row in rows}

    deployment.run("start")
    before = pids()
    kill_manager(deployment)
    assert "100 services were reattached" in deployment.run("start").stderr
    assert pids() == before
    os.kill(before["s7"], signal.SIGKILL)
    eventually(lambda: pids()["s7"] not in {before["s7"], None}, "it comes back")
    assert {**pids(), "s7": before["s7"]} == before


@needs_root
def test_services_of_another_user_are_taken_over(deployment: Deployment, gate: Path) -> None:
    """Their output is still logged, and a restarted one runs as that user, too."""
    deployment.configure(ADOPT + another_users(gate) + "restart_delay = 0\n")
    deployment.run("start")
    pid = deployment.service("laser")["pid"]
    kill_manager(deployment)
    gate.touch()
    assert "1 service was reattached" in deployment.run("start").stderr
    row = eventually(lambda: (r := deployment.service("laser"))["detail"] and r)
    assert (row["pid"], row["detail"]) == (pid, "the gate is open")
    os.kill(pid, signal.SIGKILL)
    again = eventually(lambda: {deployment.service("laser")["pid"]} - {pid, None}).pop()
    eventually(lambda: deployment.state("laser") == "running")
    assert Path(f"/proc/{again}").owner() == "nobody"


def test_no_line_is_lost_while_there_is_no_manager(deployment: Deployment) -> None:
    """A service that never stops printing has all of its lines in its log, each once, in order."""
    deployment.configure(ADOPT + chatty(deployment.root))
    deployment.run("start")
    log = deployment.root / "logs" / "chatty.log"
    pid = deployment.service("chatty")["pid"]

    def size() -> int:
        return sum(path.stat().st_size for path in log.parent.glob("chatty.log*"))

    for _ in range(2):
        kill_manager(deployment)
        reached = size()
        eventually(lambda reached=reached: size() > reached + 2_000_000, "it logs on")
        deployment.run("start")
    assert deployment.service("chatty")["pid"] == pid
    deployment.run("stop")
    files = map(Path, reversed(log_versions(str(log))))
    lines = b"".join(path.read_bytes() for path in files).splitlines()
    numbers = [int(found[1]) for line in lines if (found := re.search(rb" line (\d+)$", line))]
    numbers.pop()  # the stop may have cut it short
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 10_000


def test_clients_of_the_event_service_notice_nothing(deployment: Deployment) -> None:
    """Name server and event service serve without a manager and with the next one."""
    deployment.configure(
        ADOPT + '[services.ns]\nkind = "nameserver"\nport = 0\n'
        '[services.es]\nkind = "eventservice"\nneeds = ["ns"]\n'
    )
    deployment.run("start")
    uri = deployment.service("es")["uri"]
    hooks: list[Any] = []
    got: list[int] = []

    class Quotes(Subscriber):
        def event(self, event: Any) -> None:
            got.append(event.msg)
            if event.msg == 3:
                self.abort()

        def disconnected(self, notice: Any) -> None:
            hooks.append(notice)

    with Quotes(uri) as subscriber, Publisher(uri) as publisher:
        subscriber.subscribe("quotes")
        publisher.publish("quotes", 1)
        kill_manager(deployment)
        publisher.publish("quotes", 2)
        deployment.run("start")
        assert deployment.service("es")["es"]["subscribers"] == 1
        publisher.publish("quotes", 3)
        subscriber.listen()
    assert (got, hooks) == ([1, 2, 3], [])
    deployment.run("restart", "es")
    assert deployment.service("es")["uri"] == uri


def test_a_listening_socket_is_held_by_the_next_manager(deployment: Deployment) -> None:
    """A client that connects while the adopted service restarts waits, and isn't refused."""
    deployment.configure(
        ADOPT + '[services.ns]\nkind = "nameserver"\nport = 0\nrestart_delay = 2\n'
    )
    deployment.run("start")
    row = deployment.service("ns")
    kill_manager(deployment)
    deployment.run("start")
    port = int(row["uri"].rpartition(":")[2])
    os.kill(row["pid"], signal.SIGKILL)
    eventually(lambda: not is_alive(row["pid"]))
    with socket.create_connection(("localhost", port), 5):
        pass
    assert eventually(lambda: (r := deployment.service("ns"))["uri"] and r)["uri"] == row["uri"]


def test_a_service_that_died_without_a_manager_is_restarted(deployment: Deployment) -> None:
    """Its exit code is unknown, which status shows; the policy decides, and counters are kept."""
    deployment.configure(
        ADOPT
        + service("laser", "gate", "/", more="restart_delay = 0")
        + service("once", "gate", "/", more='restart = "never"')
        + service("other", "gate", "/")
    )
    deployment.run("start")
    pids = {name: deployment.service(name)["pid"] for name in ("laser", "once")}
    kill_manager(deployment)
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: not is_alive(pid))
    assert "1 service was reattached" in deployment.run("start", "other").stderr
    row = eventually(lambda: (r := deployment.service("laser"))["state"] == "running" and r)
    assert row["pid"] != pids["laser"]
    assert row["restarts"] == 1
    assert (row["exit"]["code"], row["exit"]["signal"]) == (None, None)
    assert "unknown exit code" in row["exit"]["text"]
    once = deployment.service("once")
    assert (once["state"], once["restarts"]) == ("failed", 0)


def test_an_adopted_service_is_watched_and_stopped_like_any_other(deployment: Deployment) -> None:
    """Its end is noticed at once and it restarts; a stubborn one is killed with its children."""
    deployment.configure(
        ADOPT
        + service("laser", "gate", "/", more="restart_delay = 0")
        + service("mule", "stubborn", more="stop_timeout = 0.3")
    )
    deployment.run("start")
    kill_manager(deployment)
    deployment.run("start")
    row = deployment.service("laser")
    os.kill(row["pid"], signal.SIGTERM)
    again = eventually(lambda: (r := deployment.service("laser"))["restarts"] and r)
    assert again["pid"] != row["pid"]
    assert "unknown exit code" in again["exit"]["text"]
    deployment.run("stop", "mule")
    mule = deployment.service("mule")
    assert (mule["state"], mule["detail"], mule["exit"]["text"]) == ("stopped", "", "")
    eventually(lambda: len(zoo(deployment)) == 1)


def test_a_start_under_way_continues(deployment: Deployment) -> None:
    """A service that wasn't ready, and one that waits for it, become ready with the next one."""
    gate = deployment.root / "gate"
    deployment.configure(
        ADOPT
        + service("base", "gate", str(gate))
        + service("feed", "gate", "/", more='needs = ["base"]')
    )
    with deployment.popen("start") as starting:
        pid = eventually(lambda: deployment.listens() and deployment.service("base")["pid"])
        kill_manager(deployment)
        starting.communicate(timeout=20)
    gate.touch()  # READY=1 comes while there is no manager
    deployment.run("start")
    assert deployment.service("base")["pid"] == pid
    assert deployment.service("base")["detail"] == "warm"
    assert deployment.service("base")["uri"] == "PYRO:zoo@localhost:1"
    assert deployment.state("feed") == "running"


def test_status_and_shutdown_work_without_a_manager(deployment: Deployment) -> None:
    """`status` lists the services still running; `shutdown` ends them without a manager."""
    deployment.configure(ADOPT + service("laser", "gate", "/"))
    deployment.run("start")
    pid = deployment.service("laser")["pid"]
    kill_manager(deployment)
    deployment.run("status", code=3)
    row = deployment.service("laser")
    assert (row["state"], row["pid"]) == ("running", pid)
    assert "without a manager" in row["detail"]
    deployment.run("shutdown")
    assert not is_alive(pid)
    assert deployment.service("laser")["state"] == "stopped"


def test_services_that_were_removed_end(deployment: Deployment) -> None:
    """Services removed from the configuration end; changed ones restart."""
    both = service("laser", "gate", "/") + service("old", "gate", "/")
    deployment.configure(ADOPT + both)
    deployment.run("start")
    laser, old = (deployment.service(name)["pid"] for name in ("laser", "old"))
    kill_manager(deployment)
    deployment.configure(ADOPT + service("laser", "gate", "/", more='env = { LEVEL = "2" }'))
    assert "1 process left by it was ended" in deployment.run("start").stderr
    assert not is_alive(old)
    eventually(lambda: deployment.service("laser")["pid"] not in {laser, None})
    eventually(lambda: deployment.state("laser") == "running")
    assert "its configuration has changed" in deployment.run("logs", "laser").stdout


def test_a_manager_that_is_not_to_adopt_starts_clean(deployment: Deployment) -> None:
    """With `orphans = "stop"` set since, no old process continues, and none runs twice."""
    deployment.configure(ADOPT + service("laser", "gate", "/"))
    deployment.run("start")
    pid = deployment.service("laser")["pid"]
    kill_manager(deployment)
    deployment.configure(service("laser", "gate", "/"))
    assert "were ended" in deployment.run("start").stderr
    assert not is_alive(pid)
    assert len(zoo(deployment)) == 1


def test_the_manager_reads_what_it_needs_of_the_output(deployment: Deployment) -> None:
    """It still gets readiness by the log, the last lines, and lines for its own output."""
    command = json.dumps(["sh", "-c", "echo warming up; echo all set; exec sleep 1000"])
    deployment.configure(
        ADOPT
        + f'[services.oven]\nkind = "command"\ncommand = {command}\n'
        + 'ready = { log = "all set" }\n'
        + service("sick", "die", "125", "x" * 65_600 + " no instrument", more="enabled = false")
    )
    with deployment.popen("run", "--logs") as running:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("oven") == "running")
        printed = deployment.run("start", "sick", code=1).stderr
        assert "no instrument" in printed
        running.terminate()
        out, _ = running.communicate(timeout=20)
    assert "oven | all set\n" in out
    assert "sick | [pyroctl] the line goes on" in out


def test_systemd_leaves_them_alone(deployment: Deployment) -> None:
    """The unit keeps processes and the runtime directory when the manager ends."""
    deployment.configure(ADOPT + service("laser", "gate", "/"))
    lines = deployment.run("unit", "systemd").stdout.splitlines()
    assert {"KillMode=process", "RuntimeDirectoryPreserve=restart"} <= set(lines)


def test_a_reload_is_recorded(deployment: Deployment) -> None:
    """What a reload has added outlives the manager, and what it has removed doesn't come back."""
    deployment.configure(ADOPT + service("laser", "gate", "/"))
    deployment.run("start")
    deployment.configure(ADOPT + service("feed", "gate", "/"))
    deployment.run("reload")
    pid = deployment.service("feed")["pid"]
    kill_manager(deployment)
    assert "1 service was reattached" in deployment.run("start").stderr
    assert deployment.service("feed")["pid"] == pid
    assert zoo(deployment) == [pid]
