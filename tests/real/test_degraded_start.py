"""A service that fails in `start` costs the others nothing; nothing else is ever stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.harness import BIN, eventually, is_alive
from tests.real.test_start_and_stop import ZOO, service

if TYPE_CHECKING:
    from tests.harness import Deployment

ADOPT = '[manager]\norphans = "adopt"\n'
NEVER = 'restart = "never"'
BAD = (
    'kind = "command"\ncommand = ["sh", "-c", "test -e ok && exec sleep 1000; echo no device >&2;'
    ' exit 7"]\nready = { delay = 0.1 }\n'
)


def bad(more: str = NEVER) -> str:
    """A service whose device is there if the file `ok` is."""
    return f"[services.bad]\n{BAD}{more}\n"


def states(deployment: Deployment, *names: str) -> list[str]:
    rows = {row["name"]: row["state"] for row in deployment.status()["services"]}
    return [rows[name] for name in names]


def interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def test_what_works_stays_up(deployment: Deployment) -> None:
    """Exit 1, partial; one error with the service's last output; only what needs it waits."""
    deployment.configure(
        service("good", "gate", "/")
        + bad()
        + service("leaf", "gate", "/", more='needs = ["good", "bad"]')
        + service("far", "gate", "/", more='needs = ["leaf"]')
    )
    envelope = deployment.json("start", code=1)
    (error,) = envelope["errors"]
    assert (error["service"], error["output"]) == ("bad", ["no device"])
    assert "exit code 7" in error["message"]
    assert (envelope["status"], envelope["exit_code"]) == ("partial", 1)
    found = {row["name"]: (row["state"], row["detail"]) for row in envelope["data"]["services"]}
    assert found["good"][0] == "running"
    assert found["bad"] == ("failed", "exit code 7: no device")
    assert found["leaf"] == ("stopped", "waiting for bad")
    assert found["far"] == ("stopped", "waiting for leaf")
    said = deployment.run("start", code=1).stderr
    assert "leaf waits for bad" in said
    assert "no device" in said


def test_what_waits_starts_when_its_need_is_ready(deployment: Deployment) -> None:
    """The failed service follows its restart policy; nobody has to start what needs it."""
    deployment.configure(
        bad("restart_delay = 0.2\nstart_limit = 0")
        + service("leaf", "gate", "/", more='needs = ["bad"]')
    )
    envelope = deployment.json("start", code=1)
    assert envelope["status"] == "error"
    assert states(deployment, "leaf") == ["stopped"]
    (deployment.root / "ok").touch()
    eventually(lambda: states(deployment, "bad", "leaf") == ["running", "running"])
    assert deployment.service("bad")["restarts"] >= 1
    deployment.run("start")


def test_a_service_that_recovers_during_a_start_is_up(deployment: Deployment) -> None:
    """Its first attempt failed while another service was still starting: exit 0."""
    gate = deployment.root / "gate"
    deployment.configure(
        bad("restart_delay = 0.2")
        + service("slow", "gate", str(gate))
        + service("leaf", "gate", "/", more='needs = ["bad"]')
    )
    with deployment.popen("start") as start:
        eventually(deployment.listens)
        eventually(lambda: deployment.service("bad")["exit"])
        (deployment.root / "ok").touch()
        eventually(lambda: states(deployment, "bad") == ["running"])
        gate.touch()
        start.communicate(timeout=20)
    assert start.returncode == 0
    assert states(deployment, "bad", "slow", "leaf") == ["running"] * 3


@pytest.mark.parametrize("command", ["start", "run"])
def test_services_start_by_their_own_needs(deployment: Deployment, command: str) -> None:
    """One that is slow delays nothing that doesn't need it."""
    gate = deployment.root / "gate"
    deployment.configure(
        service("root", "gate", "/")
        + service("slow", "gate", str(gate), more='needs = ["root"]')
        + service("mid", "gate", "/", more='needs = ["root"]')
        + service("leaf", "gate", "/", more='needs = ["mid"]')
    )
    with deployment.popen(command) as start:
        eventually(deployment.listens)
        eventually(lambda: states(deployment, "leaf") == ["running"])
        assert (states(deployment, "slow"), start.poll()) == (["starting"], None)
        gate.touch()
        eventually(lambda: states(deployment, "slow") == ["running"])
        if command == "start":
            assert start.wait(20) == 0
        start.terminate()
        start.communicate(timeout=20)


def killed_with_one_adopted(deployment: Deployment) -> int:
    """Kill a manager and its service `bad`, whose device is gone; return the pid of `good`."""
    ok = deployment.root / "ok"
    ok.touch()
    deployment.configure(ADOPT + service("good", "gate", "/") + bad())
    deployment.run("start")
    good, broken = (deployment.service(name)["pid"] for name in ("good", "bad"))
    manager = deployment.manager_pid()
    deployment.kill_manager()
    ok.unlink()
    os.kill(broken, signal.SIGKILL)
    eventually(lambda: not is_alive(manager) and not is_alive(broken))
    return int(good)


@pytest.mark.parametrize("option", [[], ["--atomic"]])
def test_what_was_reattached_is_never_stopped(deployment: Deployment, option: list[str]) -> None:
    """A start that brought up the manager, and fails, ends neither service nor manager."""
    good = killed_with_one_adopted(deployment)
    failed = deployment.run("start", *option, code=1)
    assert "1 service was reattached" in failed.stderr or "2 services" in failed.stderr
    row = deployment.service("good")
    assert (row["pid"], row["state"], is_alive(good)) == (good, "running", True)
    assert deployment.status()["manager"]["pid"]


def test_a_refused_start_stops_nothing_that_was_reattached(deployment: Deployment) -> None:
    """A mistyped name: exit 5."""
    good = killed_with_one_adopted(deployment)
    deployment.run("start", "god", code=5)
    row = deployment.service("good")
    assert (row["pid"], row["state"]) == (good, "running")


def test_a_refused_start_leaves_no_manager_behind(deployment: Deployment) -> None:
    """A mistyped name: the manager that was started for it ends."""
    deployment.configure(service("good", "gate", "/"))
    deployment.run("start", "god", code=5)
    eventually(lambda: not deployment.processes())


def test_an_atomic_start_keeps_the_manager_for_others(deployment: Deployment) -> None:
    """The manager that it started is used by another command in the meantime, and stays."""
    gate = deployment.root / "gate"
    failing = f'"python", "{ZOO}", "die_at_gate", "{gate}"'
    deployment.configure(
        service("good", "gate", "/")
        + f'[services.bad]\nkind = "command"\ncommand = [{failing}]\n{NEVER}\n'
        + 'ready = { log = "never" }\n'
    )
    with deployment.popen("start", "--atomic", "bad") as start:
        eventually(deployment.listens)
        eventually(lambda: states(deployment, "bad") == ["starting"])
        deployment.run("start", "good")
        gate.touch()
        start.communicate(timeout=20)
    assert start.returncode == 1
    assert states(deployment, "good", "bad") == ["running", "stopped"]


@pytest.mark.parametrize("option", [[], ["--atomic"]])
def test_ctrl_c_ends_only_the_waiting(deployment: Deployment, option: list[str]) -> None:
    """Exit 130; the manager that this start brought up goes on, and so does what it started."""
    gate = deployment.root / "gate"
    deployment.configure(service("good", "gate", "/") + service("slow", "gate", str(gate)))
    with deployment.popen("start", *option) as start:
        eventually(deployment.listens)
        eventually(lambda: states(deployment, "good", "slow") == ["running", "starting"])
        interrupt(start)
    assert start.returncode == 130
    assert states(deployment, "good", "slow") == ["running", "starting"]
    if not option:
        assert "waiting for" not in deployment.run("reload").stderr
    gate.touch()
    eventually(lambda: states(deployment, "good", "slow") == ["running", "running"])


def test_a_closed_pipe_ends_only_the_waiting(deployment: Deployment) -> None:
    """`pyroctl start | head -1`, also of what goes to the standard error."""
    gate = deployment.root / "gate"
    deployment.configure(service("good", "gate", "/") + service("slow", "gate", str(gate)))
    words = f"{BIN}/pyroctl --root {deployment.root} start 2>&1 | head -1"
    with subprocess.Popen(
        ["sh", "-c", words], env=deployment.env, stdout=subprocess.PIPE, text=True
    ) as pipe:
        assert pipe.stdout is not None
        assert "good" in pipe.stdout.readline()
        gate.touch()
        pipe.communicate(timeout=20)
    eventually(lambda: states(deployment, "good", "slow") == ["running", "running"])


def test_the_waiting_can_be_bounded(deployment: Deployment) -> None:
    """`--wait`: exit 1, what isn't ready is named, and everything goes on."""
    gate = deployment.root / "gate"
    deployment.configure(
        service("good", "gate", "/")
        + service("slow", "gate", str(gate))
        + service("leaf", "gate", "/", more='needs = ["slow"]')
    )
    began = time.monotonic()
    envelope = deployment.json("start", "--wait", "1.5", code=1)
    assert time.monotonic() < began + 15
    assert (envelope["status"], len(envelope["errors"])) == ("partial", 2)
    assert [error["service"] for error in envelope["errors"]] == ["slow", "leaf"]
    assert "slow is not ready after 1.5 s: starting" in envelope["errors"][0]["message"]
    assert "leaf is not ready after 1.5 s: waiting for slow" in envelope["errors"][1]["message"]
    assert states(deployment, "good", "slow") == ["running", "starting"]
    assert len(deployment.json("start", "--wait", "0", code=1)["errors"]) == 2
    gate.touch()
    eventually(lambda: states(deployment, "slow", "leaf") == ["running", "running"])
    deployment.run("start", "--wait", "20")


def test_without_waiting_it_returns_at_once(deployment: Deployment) -> None:
    """`--no-wait`: exit 0 with the states of that moment; the options exclude each other."""
    gate = deployment.root / "gate"
    deployment.configure(service("slow", "gate", str(gate)))
    (row,) = deployment.json("start", "--no-wait")["data"]["services"]
    assert row["state"] in {"stopped", "starting"}
    gate.touch()
    eventually(lambda: states(deployment, "slow") == ["running"])
    for two in (
        ("--no-wait", "--atomic"),
        ("--atomic", "--wait", "3"),
        ("--no-wait", "--wait", "3"),
    ):
        assert "exclude each other" in deployment.run("start", *two, code=2).stderr


def test_a_restart_whose_need_fails_leaves_it_to_its_policy(deployment: Deployment) -> None:
    """The need is not taken back, what ran keeps its process, and what was down waits for it."""
    ok = deployment.root / "ok"
    ok.touch()
    deployment.configure(
        bad("restart_delay = 0.2\nstart_limit = 3")
        + service("up", "gate", "/", more='needs = ["bad"]')
        + service("down", "gate", "/", more='needs = ["bad"]')
    )
    deployment.run("start", "up")
    pid = deployment.service("up")["pid"]
    ok.unlink()
    os.kill(deployment.service("bad")["pid"], signal.SIGKILL)
    eventually(lambda: states(deployment, "bad") == ["failed"])
    (error,) = deployment.json("restart", "up", code=1)["errors"]
    assert error["service"] == "bad"
    assert (deployment.service("up")["pid"], states(deployment, "up")) == (pid, ["running"])
    deployment.run("restart", "down", code=1)
    assert deployment.service("down")["detail"] == "waiting for bad"
    eventually(lambda: states(deployment, "bad") == ["failed"])
    ok.touch()
    deployment.run("start", "bad")
    eventually(lambda: states(deployment, "down") == ["running"])
