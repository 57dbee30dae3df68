"""Under systemd, or as process 1: units, notifications and the journal."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.harness import BIN, eventually, marked_processes
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import Deployment

NEEDS_ANALYZE = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)
IN_A_PID_NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
DOUBLE_FORK = (
    '[services.forker]\nkind = "command"\nready = { delay = 0 }\n'
    'command = ["sh", "-c", "(setsid sleep 0.1 &); exec sleep 1000"]\n'
)


@pytest.fixture
def systemd(deployment: Deployment) -> Iterator[socket.socket]:
    """The notification socket of systemd."""
    name = f"pyroctl-test-{deployment.mark}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(20)
        deployment.env["NOTIFY_SOCKET"] = "@" + name
        yield sock


def receive_until(systemd: socket.socket, wanted: str) -> list[str]:
    """Return the messages up to one that contains a text."""
    messages: list[str] = []
    while not messages or wanted not in messages[-1]:
        messages.append(systemd.recv(4096).decode())
    return messages


@contextlib.contextmanager
def running(
    deployment: Deployment, *wrapper: str, stderr: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*wrapper, BIN / "pyroctl", "--root", deployment.root, "run"],
        env=deployment.env,
        cwd=deployment.root,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_readiness_is_reported_when_the_services_are_up(
    deployment: Deployment, systemd: socket.socket
) -> None:
    """Readiness comes with them; the status names missing ones; reload and stop are announced."""
    gate = deployment.root / "gate"
    deployment.configure(service("laser", "gate", str(gate)))
    with running(deployment) as manager:
        messages = receive_until(systemd, "laser is starting")
        gate.touch()
        messages += receive_until(systemd, "READY=1")
        assert "STATUS=1 of 1 services run" in messages
        assert not any("READY=1" in message for message in messages[:-1])
        manager.send_signal(signal.SIGHUP)
        (*_, reloading) = receive_until(systemd, "RELOADING=1")
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading)
        receive_until(systemd, "READY=1")
        manager.send_signal(signal.SIGTERM)
        receive_until(systemd, "STOPPING=1")
        assert manager.wait(20) == 0


def test_a_service_that_fails_does_not_delay_readiness(
    deployment: Deployment, systemd: socket.socket
) -> None:
    """systemd receives readiness and the name of the failed service."""
    deployment.configure(
        service("laser", "gate", "/") + service("lamp", "die", "125", ready='"notify"')
    )
    with running(deployment) as manager:
        messages = receive_until(systemd, "READY=1")
        assert any("lamp is failed" in message for message in messages)
        manager.send_signal(signal.SIGTERM)
        assert manager.wait(20) == 0


def test_watchdog_pings_are_sent_only_when_requested(
    deployment: Deployment, systemd: socket.socket
) -> None:
    """Two pings per period; none for a period that is meant for another process."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.env["WATCHDOG_USEC"] = "200000"
    with running(deployment) as manager:
        for _ in range(5):
            receive_until(systemd, "WATCHDOG=1")
        manager.send_signal(signal.SIGTERM)
        assert manager.wait(20) == 0
    receive_until(systemd, "STOPPING=1")
    deployment.env["WATCHDOG_PID"] = "1"
    with running(deployment) as manager:
        messages = receive_until(systemd, "READY=1")
        assert not any("WATCHDOG" in message for message in messages)
        manager.send_signal(signal.SIGTERM)
        assert manager.wait(20) == 0


def test_services_do_not_see_systemds_variables(
    deployment: Deployment, systemd: socket.socket
) -> None:
    """Only the manager sees systemd's variables; a service has a NOTIFY_SOCKET of the manager."""
    deployment.configure(
        '[services.env]\nkind = "command"\nready = { log = "end" }\n'
        'command = ["sh", "-c", "env; echo end; exec sleep 1000"]\n'
    )
    deployment.env["WATCHDOG_USEC"] = "60000000"
    with running(deployment) as manager:
        receive_until(systemd, "READY=1")
        shown = deployment.run("logs", "env", "-n", "999").stdout
        assert "WATCHDOG_USEC" not in shown
        assert f"NOTIFY_SOCKET={deployment.root}/run/notify/env" in shown
        manager.send_signal(signal.SIGTERM)
        assert manager.wait(20) == 0


def test_lines_for_the_journal_have_levels(deployment: Deployment) -> None:
    """They have them only if stderr is the journal's socket."""
    deployment.configure(service("lamp", "die", "125", ready='"notify"'))
    reading, writing = os.pipe()
    with open(reading) as journal:  # noqa: PTH123
        status = os.fstat(writing)
        deployment.env["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
        with running(deployment, stderr=writing) as manager:
            os.close(writing)
            lines: list[str] = []
            while not lines or "lamp is failed" not in lines[-1]:
                lines.append(journal.readline())
            manager.send_signal(signal.SIGTERM)
            assert manager.wait(20) == 0
        lines += journal.readlines()
    assert all(re.match(r"<[3467]>\S", line) for line in lines)
    assert lines[0].startswith("<6>managing ")
    assert any(line.startswith("<4>lamp is failed") for line in lines)


@NEEDS_ANALYZE
@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("place", ["plain", 'with "blanks", 100% $HOME; and \\ more'])
def test_the_unit_passes_systemds_own_check(
    deployment: Deployment, tmp_path: Path, user: bool, place: str
) -> None:
    """The paths of program and configuration are absolute and quoted."""
    directory = tmp_path / place
    directory.mkdir()
    config = directory / "lab.toml"
    config.write_text('[manager]\nname = "lab"\n' + service("laser", "gate", "/"))
    env = {k: v for k, v in deployment.env.items() if k != "PYROCTL_ROOT"}
    args = ["-c", str(config), "unit", "systemd", *(["--user"] if user else [])]
    unit = subprocess.run(
        [BIN / "pyroctl", *args], env=env, text=True, capture_output=True, check=True
    ).stdout
    file = tmp_path / "pyroctl-lab.service"
    file.write_text(unit)
    verify = ["systemd-analyze", "verify", *(["--user"] if user else []), str(file)]
    env["XDG_RUNTIME_DIR"] = str(tmp_path)
    found = subprocess.run(verify, env=env, text=True, capture_output=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")
    assert f"ExecStart={BIN / 'pyroctl'} --config " in unit
    assert "Type=notify" in unit
    assert ("WantedBy=default.target" if user else "WantedBy=multi-user.target") in unit


def test_the_unit_allows_services_their_time_to_stop(deployment: Deployment) -> None:
    """Its timeout is the sum for services that stop one after the other."""
    deployment.configure(
        service("a", "gate", "/", more="stop_timeout = 20")
        + service("b", "gate", "/", more='stop_timeout = 30\nneeds = ["a"]')
    )
    data = deployment.json("unit", "systemd")["data"]
    assert data["name"] == "pyroctl-default.service"
    assert "TimeoutStopSec=60\n" in data["unit"]
    assert f"--root {deployment.root} run --no-logs\n" in data["unit"]


def can_be_process_1() -> bool:
    try:
        return subprocess.run([*IN_A_PID_NAMESPACE, "true"], check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_as_process_1_it_collects_orphans_and_obeys(deployment: Deployment) -> None:
    """No zombie stays, output is printed, and SIGTERM stops all services in order."""
    if not can_be_process_1():
        pytest.skip("no process namespaces here")
    deployment.configure(DOUBLE_FORK + service("laser", "gate", "/"))
    with running(deployment, *IN_A_PID_NAMESPACE) as container:
        assert container.stdout is not None
        printed: list[str] = []
        while not {"laser  | serving\n", "forker | [pyroctl] running\n"} <= set(printed):
            printed.append(container.stdout.readline())
        (manager,) = (
            pid
            for pid, command in marked_processes(deployment.mark).items()
            if command.rstrip().endswith(" run") and "unshare" not in command
        )
        eventually(lambda: "sleep 0.1" not in str(deployment.processes()), "the orphan ended")
        eventually(lambda: not zombies_of(manager), "it was collected")
        os.kill(manager, signal.SIGTERM)
        assert container.wait(20) == 0


def zombies_of(parent: int) -> bool:
    found = subprocess.run(
        ["ps", "-o", "stat=", "--ppid", str(parent)], text=True, capture_output=True, check=False
    )
    return "Z" in found.stdout


def test_run_prints_the_output_of_services_if_asked(deployment: Deployment) -> None:
    """Each line has its service's name; a stalled reader delays nothing."""
    deployment.configure(
        service("laser", "gate", "/") + service("feed", "chatter", "200000", ready="{ delay = 0 }")
    )
    command = [str(BIN / "pyroctl"), "--root", str(deployment.root), "run", "--logs"]
    with subprocess.Popen(
        command, env=deployment.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as manager:
        assert manager.stdout is not None
        while manager.stdout.readline() != "laser | serving\n":
            pass
        command_line = ["logs", "feed", "-n", "1", "--grep", "half a line"]
        eventually(lambda: deployment.run(*command_line).stdout, "all of it was taken")
        manager.send_signal(signal.SIGTERM)
        assert manager.wait(20) == 0
