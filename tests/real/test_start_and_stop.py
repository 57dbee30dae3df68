"""Starting and stopping real services with the installed command."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually, is_alive

if TYPE_CHECKING:
    from tests.harness import Deployment

ZOO = Path(__file__).with_name("zoo.py")


def service(name: str, *command: str, ready: str = '"notify"', more: str = "") -> str:
    words = ", ".join(f'"{word}"' for word in ("python", ZOO, *command))
    return f'[services.{name}]\nkind = "command"\ncommand = [{words}]\nready = {ready}\n{more}\n'


def test_start_returns_when_services_are_ready_and_not_before(deployment: Deployment) -> None:
    """Until a service reports that it is ready, start waits and status says starting."""
    gate = deployment.root / "gate"
    deployment.configure(service("laser", "gate", str(gate)))
    with deployment.popen("start") as start:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("laser") == "starting")
        deployment.run("status", code=3)
        assert start.poll() is None
        gate.touch()
        start.communicate(timeout=20)
    assert start.returncode == 0
    row = deployment.service("laser")
    assert (row["state"], row["uri"], row["kind"]) == ("running", "PYRO:zoo@localhost:1", "command")
    assert is_alive(row["pid"])
    deployment.run("status")


def test_needs_are_started_first_and_dependents_stopped_first(deployment: Deployment) -> None:
    """`start feed` starts its needs before it; `stop base` stops its dependents before it."""
    deployment.configure(
        service("base", "gate", "/")
        + service("feed", "gate", "/", more='needs = ["base"]')
        + service("other", "gate", "/")
    )
    deployment.run("start", "feed")
    assert [deployment.state(name) for name in ("base", "feed", "other")] == [
        *("running", "running", "stopped")
    ]
    deployment.run("status", code=3)
    deployment.run("status", "base", "feed")
    deployment.run("stop", "base")
    log = deployment.manager_log()
    places = [log.index(words) for words in ("base is running", "feed is starting")]
    places += [log.index(words) for words in ("feed is stopped", "base is stopped")]
    assert places == sorted(places)


def test_start_and_stop_of_what_is_so_already_are_done(deployment: Deployment) -> None:
    """A repeated command succeeds and changes nothing."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    pid = deployment.service("laser")["pid"]
    deployment.run("start")
    assert deployment.service("laser")["pid"] == pid
    deployment.run("stop")
    deployment.run("stop")
    assert deployment.state("laser") == "stopped"


def test_what_has_done_its_work_runs_again_only_by_name(deployment: Deployment) -> None:
    """A start of everything leaves it alone, also with --atomic; what needs it starts."""
    deployment.configure(
        '[services.once]\nkind = "command"\ncommand = ["true"]\nready = { delay = 0 }\n'
        'restart = "on-failure"\n' + service("laser", "gate", "/", more='needs = ["once"]')
    )

    def runs() -> int:
        eventually(lambda: deployment.state("once") == "exited")
        return len(deployment.service("once")["history"])

    deployment.run("start")
    assert runs() == 1
    deployment.run("stop", "laser")
    deployment.run("start", "--atomic")
    deployment.run("start")
    assert (runs(), deployment.state("laser")) == (1, "running")
    deployment.run("start", "once")
    eventually(lambda: runs() == 2)


def test_without_a_manager_stop_and_shutdown_are_done_and_restart_is_not(
    deployment: Deployment,
) -> None:
    """stop and shutdown exit with 0, restart with 7, status with 3."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("stop", code=0)
    deployment.run("shutdown", code=0)
    deployment.run("restart", "laser", code=7)
    assert "stopped" in deployment.run("status", code=3).stdout


def test_an_atomic_start_explains_what_died_and_takes_everything_back(
    deployment: Deployment,
) -> None:
    """Exit 1 with its last output; its needs and the manager stop again."""
    deployment.configure(
        service("base", "gate", "/") + service("laser", "die", "3", more='needs = ["base"]')
    )
    failed = deployment.run("start", "--atomic", code=1)
    assert "laser did not become ready: exit code 3" in failed.stderr
    assert "cannot find the instrument" in failed.stderr
    assert "logs laser" in failed.stderr
    eventually(lambda: not deployment.processes())
    envelope = deployment.json("start", "--atomic", code=1)
    (error,) = envelope["errors"]
    assert (envelope["status"], envelope["exit_code"]) == ("error", 1)
    assert (error["service"], error["output"]) == ("laser", ["cannot find the instrument"])


def test_an_atomic_start_leaves_running_what_ran_before(deployment: Deployment) -> None:
    """Only services that the failed command itself started are stopped."""
    deployment.configure(
        service("base", "gate", "/") + service("laser", "die", more='needs = ["base"]')
    )
    deployment.run("start", "base")
    pid = deployment.service("base")["pid"]
    deployment.run("start", "--atomic", "laser", code=1)
    assert (deployment.service("base")["pid"], deployment.state("laser")) == (pid, "stopped")


def test_a_program_that_is_not_there_is_named(deployment: Deployment) -> None:
    """The error names the program, which is not tried again."""
    deployment.configure('[services.x]\nkind = "command"\ncommand = "no-such-program --fast"')
    failed = deployment.run("start", code=1)
    assert "no-such-program" in failed.stderr
    assert "No such file" in failed.stderr


def test_a_service_that_never_gets_ready_is_given_up(deployment: Deployment) -> None:
    """It is stopped after start_timeout, and the error names the time."""
    deployment.configure(service("slow", "gate", "/no/gate", more="start_timeout = 0.5"))
    failed = deployment.run("start", code=1)
    assert "not ready within 0.5 s" in failed.stderr


def test_readiness_by_port_log_and_delay(deployment: Deployment) -> None:
    """Programs without sd_notify become ready by each of the three conditions."""
    with socket.create_server(("localhost", 0)) as probe:
        port = probe.getsockname()[1]
    gate = deployment.root / "gate"
    deployment.configure(
        service("port", "late_port", str(port), str(gate), ready=f"{{ port = {port} }}")
        + service("log", "serve", ready='{ log = "^serv" }')
        + service("delay", "serve", ready="{ delay = 0.3 }")
    )
    deployment.run("start", "log")
    before = time.monotonic()
    deployment.run("start", "delay")
    assert time.monotonic() - before >= 0.3
    with deployment.popen("start", "port") as start:
        eventually(lambda: deployment.state("port") == "starting")
        gate.touch()
        assert start.wait(20) == 0
        start.communicate()
    assert deployment.state("port") == "running"


def test_a_service_that_ignores_sigterm_is_killed_after_its_time(deployment: Deployment) -> None:
    """stop returns when no process of the session is left, children included."""
    deployment.configure(service("mule", "stubborn", more="stop_timeout = 0.4"))
    deployment.run("start")
    pid = deployment.service("mule")["pid"]
    before = time.monotonic()
    deployment.run("stop")
    assert time.monotonic() - before >= 0.4
    assert not is_alive(pid)
    assert not [c for c in deployment.processes().values() if "zoo.py" in c]
    assert "killed" in deployment.run("logs", "mule").stdout


def test_a_stop_takes_the_whole_session(deployment: Deployment) -> None:
    """A child in another process group that ignores SIGTERM does not survive the stop."""
    deployment.configure(service("family", "family", more="stop_timeout = 0.3"))
    deployment.run("start")
    assert len([c for c in deployment.processes().values() if "zoo.py" in c]) == 2
    deployment.run("stop")
    assert not [c for c in deployment.processes().values() if "zoo.py" in c]


def test_restart_gives_a_fresh_process(deployment: Deployment) -> None:
    """The new process is ready when the command returns, and does not count as a crash."""
    deployment.configure(service("laser", "gate", "/") + service("other", "gate", "/"))
    deployment.run("start", "laser")
    before = deployment.service("laser")
    envelope = deployment.json("restart", "laser", "other")
    after = deployment.service("laser")
    assert after["state"] == deployment.state("other") == "running"
    assert after["pid"] != before["pid"]
    assert not is_alive(before["pid"])
    assert after["restarts"] == 0
    assert [entry["service"] for entry in envelope["data"]["restarts"]] == ["laser", "other"]


def test_an_unknown_service_gets_the_nearest_name(deployment: Deployment) -> None:
    """Actions exit with 5, status with 4, and the error suggests a name."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    for command, code in (("start", 5), ("stop", 5), ("restart", 5), ("logs", 5), ("status", 4)):
        failed = deployment.run(command, "lasr", code=code)
        assert "'lasr'" in failed.stderr
        assert "did you mean 'laser'?" in failed.stderr
    assert "hint: services here: laser\n" in deployment.run("start", "camera", code=5).stderr


def test_identity_limits_and_place_of_a_service(deployment: Deployment) -> None:
    """umask, nice, limits, cwd and a new session are set before the program starts."""
    work = deployment.root / "work"
    work.mkdir()
    more = 'cwd = "work"\numask = "0027"\nnice = 5\nlimits = { nofile = 512 }'
    deployment.configure(service("me", "print_identity", more=more))
    deployment.run("start")
    printed = deployment.run("logs", "me").stdout
    for words in ("umask 0o27 nice 5", f"nofile (512, 512) cwd {work}", "sid is pid True"):
        assert words in printed


@pytest.mark.skipif("os.geteuid() != 0", reason="only root may become another user")
def test_a_service_can_run_as_another_user(deployment: Deployment) -> None:
    """It has that user's IDs and home, and its readiness still reaches the manager."""
    import pwd

    entry = pwd.getpwnam("nobody")
    deployment.configure(
        '[services.me]\nkind = "command"\nuser = "nobody"\nready = { log = "^uid" }\n'
        'cwd = "/"\ncommand = ["/bin/sh", "-c", "echo uid $(id -u) home $HOME; exec sleep 1000"]'
    )
    deployment.run("start")
    printed = deployment.run("logs", "me").stdout
    assert f"uid {entry.pw_uid} home {entry.pw_dir}" in printed


@pytest.mark.skipif("os.geteuid() != 0", reason="only root may become another user")
def test_a_start_names_the_user_that_fails(deployment: Deployment) -> None:
    """One that doesn't exist, and one that may not execute the program."""
    entry = '[services.me]\nkind = "command"\ncwd = "/"\ncommand = "{}"\nuser = "{}"\n'
    deployment.configure(entry.format("/bin/true", "nosuch"))
    printed = deployment.run("start", code=None).stderr
    assert 'cannot start: there is no user "nosuch" on this machine' in printed
    deployment.run("shutdown")
    program = deployment.root / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    deployment.configure(entry.format(program, "nobody"))
    printed = deployment.run("start", code=None).stderr
    assert f"cannot execute '{program}' as user nobody: Permission denied" in printed
