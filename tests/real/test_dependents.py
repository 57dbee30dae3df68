"""Services that follow what they need, and essential services."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from tests.harness import Deployment

QUICK = "restart_delay = 0\n"


def chain(deployment: Deployment, policy: str, base: str = "") -> None:
    """base ← feed ← leaf, and other, which needs base with `on_needs = "keep"`."""
    deployment.configure(
        service("base", "gate", "/", more=QUICK + base)
        + service("feed", "gate", "/", more=f'needs = ["base"]\non_needs = "{policy}"')
        + service("leaf", "gate", "/", more=f'needs = ["feed"]\non_needs = "{policy}"')
        + service("other", "gate", "/", more='needs = ["base"]')
    )
    deployment.run("start")


def pids(deployment: Deployment) -> dict[str, int | None]:
    rows = deployment.json("status", code=None)["data"]["services"]
    return {row["name"]: row["pid"] for row in rows}


def settled(deployment: Deployment) -> bool:
    rows = deployment.json("status", code=None)["data"]["services"]
    return all(row["state"] in {"running", "stopped", "failed"} for row in rows)


@pytest.mark.parametrize("how", ["command", "crash", "reload"])
def test_dependents_restart_after_what_they_need(deployment: Deployment, how: str) -> None:
    """Each restarts once, in order, if its policy says restart; by command, crash or reload."""
    chain(deployment, "restart")
    before = pids(deployment)
    if how == "command":
        deployment.run("restart", "base")
    elif how == "crash":
        os.kill(before["base"] or 0, signal.SIGKILL)
    else:
        path = deployment.root / "pyroctl.toml"
        path.write_text(path.read_text().replace(QUICK, f'{QUICK}env = {{ A = "1" }}\n', 1))
        deployment.run("reload")
    if how == "crash":
        eventually(lambda: deployment.service("leaf")["history"])
        assert deployment.service("leaf")["history"][-1]["reason"] == "feed was restarted"
        eventually(lambda: settled(deployment))
    after = pids(deployment)
    assert [name for name in after if after[name] == before[name]] == ["other"]
    log = deployment.manager_log()
    restarted = ["feed is stopping: base was restarted", "leaf is stopping: feed was restarted"]
    assert [log.count(words) for words in restarted] == [1, 1]
    assert log.index(restarted[0]) < log.index(restarted[1])
    assert deployment.service("feed")["history"][-1]["reason"] == "base was restarted"


def test_a_restart_of_all_of_them_restarts_each_once(deployment: Deployment) -> None:
    """A service that has followed isn't restarted again, whatever the order of the names."""
    chain(deployment, "restart")
    before = pids(deployment)
    done = deployment.json("restart", "leaf", "base", "feed")["data"]["restarts"]
    assert [entry["service"] for entry in done] == ["base", "feed", "leaf"]
    after = pids(deployment)
    assert [name for name in after if after[name] == before[name]] == ["other"]
    assert all(len(deployment.service(name)["history"]) == 1 for name in ("feed", "leaf"))


def test_a_follower_that_fails_fails_the_restart(deployment: Deployment) -> None:
    """The command waits for those that follow, and reports which failed."""
    gate = deployment.root / "gate"
    gate.touch()
    deployment.configure(
        service("base", "gate", "/")
        + service(
            "feed",
            *("gate", str(gate)),
            more='needs = ["base"]\non_needs = "restart"\nstart_timeout = 0.5\nrestart = "never"',
        )
    )
    deployment.run("start")
    gate.unlink()
    found = deployment.run("restart", "base", code=1)
    assert "feed did not become ready: not ready within 0.5 s" in found.stderr
    assert deployment.state("base") == "running"


@pytest.mark.parametrize("how", ["command", "crash", "failure"])
def test_dependents_stop_with_what_they_need(deployment: Deployment, how: str) -> None:
    """They stay down, status shows why, and the one that keeps continues."""
    chain(deployment, "stop", 'restart = "never"' if how == "failure" else "")
    before = pids(deployment)
    if how == "command":
        deployment.run("restart", "base")
    else:
        os.kill(before["base"] or 0, signal.SIGKILL)
    eventually(lambda: deployment.state("leaf") == "stopped" and settled(deployment))
    row = deployment.service("feed")
    words = "restart requested" if how == "command" else "killed by SIGKILL"
    assert (row["state"], row["detail"][:16]) == ("stopped", "base went down: ")
    assert words in row["detail"]
    assert pids(deployment)["other"] == before["other"]
    assert deployment.state("base") == ("failed" if how == "failure" else "running")


def test_keep_leaves_a_dependent_running(deployment: Deployment) -> None:
    """By default no service is restarted because of another one."""
    chain(deployment, "keep")
    before = pids(deployment)
    deployment.run("restart", "base")
    after = pids(deployment)
    assert [name for name in after if after[name] != before[name]] == ["base"]


def test_a_changed_policy_needs_no_restart(deployment: Deployment) -> None:
    """on_needs is in effect after a reload, with the process that is there."""
    chain(deployment, "keep")
    before = pids(deployment)
    path = deployment.root / "pyroctl.toml"
    path.write_text(path.read_text().replace('"keep"', '"restart"'))
    deployment.run("reload")
    assert pids(deployment) == before
    deployment.run("restart", "base")
    assert pids(deployment)["leaf"] != before["leaf"]


def test_the_tree_shows_the_needs(deployment: Deployment) -> None:
    """It reaches down to services without needs; a name limits it; no manager is required."""
    chain(deployment, "restart")
    drawn = [line.rstrip() for line in deployment.run("status", "--tree").stdout.splitlines()[1:]]
    assert drawn == [
        "leaf  running  on_needs = restart",
        "└─ feed  running  on_needs = restart",
        "   └─ base  running",
        "other  running",
        "└─ base  running",
    ]
    rows = deployment.json("status", "--tree", "feed")["data"]["services"]
    assert [(row["name"], row["on_needs"]) for row in rows] == [
        *(("base", "keep"), ("feed", "restart"))
    ]
    deployment.run("shutdown")
    lines = deployment.run("status", "--tree", "feed", code=3).stdout.splitlines()
    assert lines[1:] == ["feed  stopped  on_needs = restart", "└─ base  stopped"]


ESSENTIAL = 'restart = "never"\non_failure = "shutdown"\n'


@pytest.mark.parametrize(("end", "code"), [("3", 3), ("125", 125), ("signal", 137), ("limit", 4)])
def test_an_essential_service_ends_everything_with_its_code(
    deployment: Deployment, end: str, code: int
) -> None:
    """`run` stops all in order and exits as the service did; 128 + N for a signal."""
    gate = deployment.root / "gate"
    again = "restart_delay = 0\nstart_limit = 2\n"
    own = str(code) if end == "limit" else end
    job = ("gate", "/") if end == "signal" else ("die_at_gate", str(gate), own)
    more = ESSENTIAL.replace('"never"', '"always"') + again if end == "limit" else ESSENTIAL
    deployment.configure(
        service("base", "gate", "/") + service("job", *job, more='needs = ["base"]\n' + more)
    )
    with deployment.popen("run", "--json") as run:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("job") == "running")
        gate.touch()
        if end == "signal":
            os.kill(deployment.service("job")["pid"], signal.SIGKILL)
        out, err = run.communicate(timeout=20)
    assert run.returncode == code, err
    assert '"essential-failed"' in out
    assert err.index("job has failed") < err.index("base is stopped")
    assert not deployment.processes()


def test_an_essential_service_that_ends_well_ends_nothing(deployment: Deployment) -> None:
    """Only `failed` counts; a stop on command is not a failure."""
    gate = deployment.root / "gate"
    deployment.configure(
        service("base", "gate", "/", more='on_failure = "shutdown"')
        + service("job", "die_at_gate", str(gate), "0", more=ESSENTIAL)
    )
    deployment.run("start")
    gate.touch()
    eventually(lambda: deployment.state("job") == "exited")
    deployment.run("stop", "base")
    assert deployment.state("base") == "stopped"


def test_a_start_reports_a_failed_essential_service(deployment: Deployment) -> None:
    """The manager in the background ends, and still the command prints the reason."""
    deployment.configure(
        service("base", "gate", "/")
        + service("job", "die", "9", more='needs = ["base"]\n' + ESSENTIAL)
    )
    found = deployment.run("start", code=1)
    assert "job did not become ready: exit code 9" in found.stderr
    assert "cannot find the instrument" in found.stderr
    eventually(lambda: not deployment.processes())
    assert "job has failed, so everything stops" in deployment.manager_log()
