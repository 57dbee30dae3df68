"""`pyroctl reexec`: a new program in the manager's process, without an interruption."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Publisher, Subscriber
from pyroctl.paths import log_versions
from tests.harness import Deployment, eventually
from tests.real.test_adoption import another_users, chatty, gate, needs_root
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["gate"]  # a fixture

MODES = ("stop", "adopt")


def manager(mode: str) -> str:
    return f'[manager]\norphans = "{mode}"\n'


@pytest.mark.parametrize("mode", MODES)
def test_services_continue_and_their_exit_codes_are_known(
    deployment: Deployment, mode: str
) -> None:
    """Manager and services keep their processes, uptimes and counters."""
    gate = deployment.root / "gate"
    deployment.configure(
        manager(mode)
        + service("laser", "gate", "/", more="restart_delay = 0")
        + service("job", "die_at_gate", str(gate), "42", more='restart = "never"')
    )
    deployment.run("start")
    pid = deployment.manager_pid()
    os.kill(deployment.service("laser")["pid"], signal.SIGKILL)
    before = eventually(
        lambda: (r := deployment.service("laser"))["restarts"] and r["uptime_s"] and r
    )
    printed = deployment.run("reexec").stderr
    assert re.search(rf"the manager \(pid {pid}\) now runs pyroctl \d+\.\d+", printed)
    after = deployment.service("laser")
    kept = ("pid", "uri", "restarts", "exit", "history")
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert after["uptime_s"] > before["uptime_s"]
    assert deployment.manager_pid() == pid
    gate.touch()
    row = eventually(lambda: (r := deployment.service("job"))["state"] == "failed" and r)
    assert row["exit"]["code"] == 42


@needs_root
@pytest.mark.parametrize("mode", MODES)
def test_services_of_another_user_continue(deployment: Deployment, gate: Path, mode: str) -> None:
    """Their later output is logged."""
    deployment.configure(manager(mode) + another_users(gate))
    deployment.run("start")
    pid = deployment.service("laser")["pid"]
    deployment.run("reexec")
    gate.touch()
    row = eventually(lambda: (r := deployment.service("laser"))["detail"] and r)
    assert (row["pid"], row["detail"]) == (pid, "the gate is open")


@pytest.mark.parametrize("mode", MODES)
def test_no_line_is_lost_and_none_is_cut(deployment: Deployment, mode: str) -> None:
    """The log of a service that prints constantly has every line once and in order."""
    deployment.configure(manager(mode) + chatty(deployment.root))
    deployment.run("start")
    for _ in range(2):
        deployment.run("reexec")
    deployment.run("stop")
    files = map(Path, reversed(log_versions(str(deployment.root / "logs" / "chatty.log"))))
    lines = b"".join(path.read_bytes() for path in files).splitlines()
    printed = [line for line in lines if b"[pyroctl]" not in line]
    numbers = [int(found[1]) for line in printed if (found := re.search(rb" line (\d+)$", line))]
    assert len(printed) - len(numbers) <= 1  # the stop may have cut the last one short
    assert numbers[:-1] == list(range(len(numbers) - 1))


def test_clients_notice_nothing(deployment: Deployment) -> None:
    """Subscribers keep their connections; commands issued during the switch wait."""
    deployment.configure(
        '[services.ns]\nkind = "nameserver"\nport = 0\n'
        '[services.es]\nkind = "eventservice"\nneeds = ["ns"]\n'
    )
    deployment.run("start")
    hooks: list[Any] = []
    got: list[int] = []

    class Quotes(Subscriber):
        def event(self, event: Any) -> None:
            got.append(event.msg)
            if event.msg == 2:
                self.abort()

        def disconnected(self, notice: Any) -> None:
            hooks.append(notice)

    uri = deployment.service("es")["uri"]
    with Quotes(uri) as subscriber, Publisher(uri) as publisher:
        subscriber.subscribe("quotes")
        publisher.publish("quotes", 1)
        with deployment.popen("reexec") as replacing:
            for _ in range(5):
                status = deployment.run("status", code=None)
                assert status.returncode == 0 or "does not answer" in status.stderr  # busy machine
            assert replacing.wait(40) == 0
        publisher.publish("quotes", 2)
        subscriber.listen()
        assert deployment.service("es")["es"]["subscribers"] == 1
    assert (got, hooks) == ([1, 2], [])
    os.kill(deployment.service("ns")["pid"], signal.SIGKILL)
    eventually(lambda: deployment.service("ns")["restarts"] == 1)
    assert deployment.service("es")["uri"] == uri


def test_no_service_outlives_the_new_program_either(deployment: Deployment) -> None:
    """The new program keeps the cleanup process."""
    deployment.configure(
        service("plain", "gate", "/") + service("mule", "stubborn", more="stop_timeout = 0.5")
    )
    deployment.run("start")
    before = [pid for pid, c in deployment.processes().items() if "cleanup_process.py" in c]
    deployment.run("reexec")
    assert [pid for pid, c in deployment.processes().items() if "cleanup_process.py" in c] == before
    deployment.kill_manager()
    eventually(lambda: not deployment.processes(), "all ended", 8)


def test_what_was_under_way_continues(deployment: Deployment) -> None:
    """A backoff, an unfinished start and a service waiting for it continue."""
    gate = deployment.root / "gate"
    deployment.configure(
        service("base", "gate", str(gate))
        + service("feed", "gate", "/", more='needs = ["base"]')
        + service("sick", "die", more="restart_delay = 1000\nrestart_max_delay = 1000")
        + service("idle", "gate", "/", more="enabled = false")
    )
    with deployment.popen("run") as running:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("sick") == "backoff")
        base = eventually(lambda: deployment.service("base")["pid"])
        assert deployment.run("reexec").returncode == 0
        assert deployment.manager_pid() == running.pid
        assert deployment.state("sick") == "backoff"
        assert deployment.service("base")["pid"] == base
        assert deployment.state("feed") == "stopped"
        gate.touch()
        eventually(lambda: deployment.state("feed") == "running")
        assert deployment.state("idle") == "stopped"
        running.terminate()
        _, err = running.communicate(timeout=20)
    assert running.returncode == 0
    assert "everything is stopped" in err


def test_a_service_that_was_stopped_stays_so(deployment: Deployment) -> None:
    """Unlike `pyroctl run`, its next program does not start all enabled services."""
    deployment.configure(service("laser", "gate", "/") + service("feed", "gate", "/"))
    with deployment.popen("run") as running:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("laser") == "running")
        deployment.run("stop", "laser")
        deployment.run("reexec")
        assert deployment.state("laser") == "stopped"
        assert deployment.state("feed") == "running"
        running.terminate()
        running.communicate(timeout=20)


def break_configuration(deployment: Deployment) -> int:
    deployment.configure("[services.laser\n")
    return 6


def change_configuration(deployment: Deployment) -> int:
    deployment.configure(service("laser", "gate", "/", more='env = { LEVEL = "2" }'))
    return 1


def change_orphans(deployment: Deployment) -> int:
    deployment.configure(manager("adopt") + service("laser", "gate", "/"))
    return 1


def break_program(deployment: Deployment) -> int:
    package = deployment.root / "upgrade" / "pyroctl"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('half installed')\n")
    return 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (break_configuration, "pyroctl.toml:1"),
        (change_configuration, "the configuration of laser has changed since it was loaded"),
        (change_orphans, "manager.orphans has changed"),
        (break_program, "half installed"),
    ],
)
def test_an_incompatible_program_replaces_nothing(
    deployment: Deployment, spoil: Callable[[Deployment], int], words: str
) -> None:
    """The check of the new program fails with the reason, and the old one continues."""
    deployment.env["PYTHONPATH"] = str(deployment.root / "upgrade")
    config = service("laser", "gate", "/")
    deployment.configure(config)
    deployment.run("start")
    del deployment.env["PYTHONPATH"]
    pid = deployment.service("laser")["pid"]
    code = spoil(deployment)
    assert words in deployment.run("reexec", code=code).stderr
    deployment.configure(config)
    assert deployment.service("laser")["pid"] == pid
    assert "goes on" not in deployment.manager_log().splitlines()[-1]


def test_without_a_manager_there_is_nothing_to_replace(deployment: Deployment) -> None:
    """The exit status is 7."""
    deployment.configure(service("laser", "gate", "/"))
    assert "no manager is running" in deployment.run("reexec", code=7).stderr


def test_systemd_is_notified_of_the_new_program(deployment: Deployment) -> None:
    """It reports readiness on the same socket."""
    deployment.configure(service("laser", "gate", "/"))
    path = deployment.root / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(20)
        deployment.env["NOTIFY_SOCKET"] = str(path)
        with deployment.popen("run") as running:
            del deployment.env["NOTIFY_SOCKET"]
            while sock.recv(4096) != b"READY=1":
                pass
            deployment.run("reexec")
            while sock.recv(4096) != b"READY=1":
                pass
            running.terminate()
            running.communicate(timeout=20)
    path.unlink()
