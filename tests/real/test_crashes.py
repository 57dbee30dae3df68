"""Crashes of a service, the manager or the cleanup process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import pytest

from tests.harness import BIN, Deployment, eventually, is_alive
from tests.real.test_start_and_stop import service


def zoo_processes(deployment: Deployment) -> list[str]:
    return [c for c in deployment.processes().values() if "zoo.py" in c]


def test_a_crashed_service_comes_back(deployment: Deployment) -> None:
    """It has a new process; the restart is counted and its exit described."""
    deployment.configure(service("laser", "gate", "/", more="restart_delay = 0"))
    deployment.run("start")
    pid = deployment.service("laser")["pid"]
    os.kill(pid, signal.SIGKILL)
    row = eventually(
        lambda: (r := deployment.service("laser"))["state"] == "running" and r["restarts"] and r
    )
    assert row["pid"] != pid
    assert row["restarts"] == 1
    assert (row["exit"]["code"], row["exit"]["signal"]) == (None, 9)
    assert "killed by SIGKILL" in row["exit"]["text"]


def test_a_crash_loop_ends_at_the_start_limit(deployment: Deployment) -> None:
    """After start_limit starts it is `failed` with the reason; status exits with 3."""
    starts = deployment.root / "starts"
    deployment.configure(
        '[services.flaky]\nkind = "command"\nready = { delay = 0 }\nrestart_delay = 0.01\n'
        f'start_limit = 4\ncommand = ["sh", "-c", "echo x >> {starts}; sleep 0.1; exit 1"]'
    )
    deployment.run("start", code=None)
    row = eventually(lambda: (r := deployment.service("flaky"))["state"] == "failed" and r)
    assert "given up after 4 starts in 60 s" in row["detail"]
    assert starts.read_text() == "x\n" * 4
    deployment.run("status", code=3)


@pytest.mark.parametrize(
    ("policy", "code", "state"),
    [
        ("always", 125, "failed"),
        ("never", 0, "exited"),
        ("never", 4, "failed"),
        ("on-failure", 0, "exited"),
    ],
)
def test_a_permanent_failure_is_not_restarted(
    deployment: Deployment, policy: str, code: int, state: str
) -> None:
    """Exit code 125 is never retried; the policy decides about other codes."""
    gate = deployment.root / "gate"
    deployment.configure(
        service("job", "die_at_gate", str(gate), str(code), more=f'restart = "{policy}"')
    )
    deployment.run("start")
    gate.touch()
    row = eventually(lambda: (r := deployment.service("job"))["state"] == state and r)
    assert (row["restarts"], row["exit"]["code"]) == (0, code)


def test_what_a_dead_leader_leaves_is_ended_before_it_starts_again(deployment: Deployment) -> None:
    """A child that outlives its leader does not hold a port of the next run."""
    deployment.configure(
        service("x", "abandon", more="restart_delay = 1000\nrestart_max_delay = 1000")
    )
    deployment.run("start")
    row = eventually(lambda: (r := deployment.service("x"))["state"] == "backoff" and r)
    assert row["exit"]["code"] == 7
    assert not zoo_processes(deployment)


def test_a_restart_waits_for_what_the_service_needs(deployment: Deployment) -> None:
    """If both die, the dependent waits for its need, and this costs no start attempt."""
    gate = deployment.root / "gate"
    deployment.configure(
        service("base", "gate", str(gate), more="restart_delay = 0")
        + service("feed", "gate", "/", more='needs = ["base"]\nrestart_delay = 0\nstart_limit = 3')
    )

    def kill_both() -> None:
        """Kill the dependent only when the other one is known to be away."""
        os.kill(deployment.service("base")["pid"], signal.SIGKILL)
        eventually(lambda: deployment.state("base") == "starting")
        os.kill(deployment.service("feed")["pid"], signal.SIGKILL)

    gate.touch()
    deployment.run("start")
    gate.unlink()
    kill_both()
    eventually(lambda: deployment.service("feed")["detail"] == "waiting for base")
    assert deployment.service("feed")["pid"] is None
    gate.touch()
    eventually(lambda: deployment.state("feed") == "running")
    assert deployment.service("feed")["restarts"] == 1
    gate.unlink()
    kill_both()
    eventually(lambda: deployment.service("feed")["detail"] == "waiting for base")
    deployment.run("stop", "feed")
    assert deployment.state("feed") == "stopped"


def test_no_service_outlives_a_killed_manager(deployment: Deployment) -> None:
    """kill -9 of the manager ends chatty, forking and stubborn services, too."""
    deployment.configure(
        service("plain", "gate", "/")
        + service("mule", "stubborn", more="stop_timeout = 0.5")
        + service("family", "family", more="stop_timeout = 0.5")
    )
    deployment.run("start")
    assert len(zoo_processes(deployment)) == 5
    deployment.kill_manager()
    eventually(lambda: not deployment.processes(), "all ended", 5)


def test_the_cleanup_process_ends_them_and_is_replaced_when_killed(deployment: Deployment) -> None:
    """A killed cleanup process is replaced by one that knows the services."""
    deployment.configure(service("mule", "stubborn", more="stop_timeout = 0.5"))
    deployment.run("start")

    def cleanups() -> list[int]:
        return [pid for pid, c in deployment.processes().items() if "cleanup_process.py" in c]

    (first,) = cleanups()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: cleanups() and cleanups() != [first])
    eventually(lambda: "starting another" in deployment.manager_log())
    deployment.kill_manager()
    eventually(lambda: not deployment.processes(), "all ended", 5)


def test_after_a_killed_manager_the_next_start_is_clean(deployment: Deployment) -> None:
    """A stale socket and lock do not make status see a manager, or disturb start."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    deployment.kill_manager()
    eventually(lambda: not deployment.processes())
    assert (deployment.root / "run" / "control.sock").exists()
    assert "no manager is running" in deployment.run("status", code=3).stdout
    deployment.run("start")
    assert deployment.state("laser") == "running"
    deployment.was_killed = False


def test_a_frozen_manager_is_reported_by_every_command_within_five_seconds(
    deployment: Deployment,
) -> None:
    """Exit 4 with its pid; requests of clients that left are not carried out."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    pid = deployment.manager_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        commands = [("status",), ("start",), ("stop",), ("restart", "laser"), ("shutdown",)]
        before = time.monotonic()
        with contextlib.ExitStack() as stack:
            running = [stack.enter_context(deployment.popen(*command)) for command in commands]
            for process in running:
                _, err = process.communicate(timeout=20)
                assert process.returncode == 4
                assert f"(pid {pid}) does not answer" in err
        assert time.monotonic() - before < 5 + 2  # five at once on two cores
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: deployment.manager_log().count("was not carried out") >= 4)
    assert deployment.state("laser") == "running"


def test_one_manager_per_deployment(deployment: Deployment) -> None:
    """Of many simultaneous starts, one starts a manager; an additional `run` exits with 1."""
    deployment.configure(service("laser", "gate", "/"))
    with contextlib.ExitStack() as stack:
        starts = [stack.enter_context(deployment.popen("start")) for _ in range(5)]
        for start in starts:
            _, err = start.communicate(timeout=40)
            assert start.returncode == 0, err
    managers = [c for c in deployment.processes().values() if "pyroctl.manager" in c]
    assert len(managers) == 1
    assert len(zoo_processes(deployment)) == 1
    refused = deployment.run("run", code=1)
    assert f"another manager (pid {deployment.manager_pid()})" in refused.stderr


def test_the_control_socket_is_private(deployment: Deployment) -> None:
    """It has mode 0600 in a directory of mode 0700, whatever the umask."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    run = deployment.root / "run"
    assert run.stat().st_mode & 0o777 == 0o700
    assert (run / "control.sock").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif("os.geteuid() != 0", reason="needs a second user to be refused")
def test_another_users_manager_is_inaccessible(open_deployment: Deployment) -> None:
    """For another user, every command exits with 4 and changes nothing."""
    deployment = open_deployment
    config = deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run(
        [*nobody, BIN / "pyroctl", "--version"], capture_output=True, check=False
    ).returncode:
        pytest.skip("pyroctl is installed where only its owner may go")
    command = [*nobody, str(BIN / "pyroctl"), "-c", str(config), "--root", str(deployment.root)]
    for args in (
        ("status",),
        ("start",),
        ("stop",),
        ("restart", "laser"),
        ("logs",),
        ("shutdown",),
    ):
        done = subprocess.run(
            [*command, *args],
            cwd="/",
            env=deployment.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 4, (args, done.stderr)
        assert "Traceback" not in done.stderr
        assert str(deployment.root) in done.stderr
    assert deployment.state("laser") == "running"


@pytest.mark.skipif("os.geteuid() != 0", reason="needs a second user whose directory it is")
def test_another_users_directory_is_not_used(deployment: Deployment) -> None:
    """Another user's runtime directory is not used: exit 4."""
    run = deployment.root / "run"
    run.mkdir(mode=0o700)
    os.chown(run, 65534, 65534)
    assert "belongs to another user" in deployment.run("start", code=4).stderr
    run.rmdir()


def test_services_survive_the_terminal(deployment: Deployment) -> None:
    """They continue when the session in which `pyroctl start` ran is hung up."""
    deployment.configure(service("laser", "gate", "/"))
    command = [
        *("script", "--quiet", "--return", "--command"),
        f"{BIN}/pyroctl --root {deployment.root} start",
        "/dev/null",
    ]
    subprocess.run(command, env=deployment.env, check=True, stdin=subprocess.DEVNULL, timeout=30)
    row = deployment.service("laser")
    assert row["state"] == "running"
    assert is_alive(row["pid"])


def test_the_foreground_manager_stops_everything_on_sigterm(deployment: Deployment) -> None:
    """`pyroctl run` starts the enabled services, and exits with 0 when all are stopped."""
    deployment.configure(
        service("laser", "gate", "/") + service("off", "gate", "/", more="enabled = false")
    )
    with deployment.popen("run") as manager:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("laser") == "running")
        assert deployment.state("off") == "stopped"
        deployment.run("status")
        manager.terminate()
        _, err = manager.communicate(timeout=20)
    assert manager.returncode == 0
    assert "everything is stopped" in err
    assert not deployment.processes()


def test_a_second_interrupt_kills(deployment: Deployment) -> None:
    """A second Ctrl-C kills a service that is slow to stop."""
    deployment.configure(service("mule", "stubborn", more="stop_timeout = 1000"))
    with deployment.popen("run") as manager:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("mule") == "running")
        manager.send_signal(signal.SIGINT)
        eventually(lambda: deployment.state("mule") == "stopping")
        manager.send_signal(signal.SIGINT)
        manager.communicate(timeout=20)
    assert manager.returncode == 0


def test_the_foreground_manager_keeps_trying(deployment: Deployment) -> None:
    """A service that fails at first starts later, and then its dependents."""
    gate = deployment.root / "gate"
    deployment.configure(
        '[services.base]\nkind = "command"\nrestart_delay = 0.05\nrestart_max_delay = 0.05\n'
        f'start_limit = 1000\ncommand = ["sh", "-c", "test -e {gate} && exec sleep 1000"]\n'
        + service("feed", "gate", "/", more='needs = ["base"]')
    )
    with deployment.popen("run") as manager:
        eventually(deployment.listens)
        eventually(lambda: deployment.service("base")["restarts"] > 1)
        assert deployment.state("feed") == "stopped"
        gate.touch()
        eventually(lambda: deployment.state("feed") == "running")
        manager.terminate()
        manager.communicate(timeout=20)
