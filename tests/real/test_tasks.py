"""Tasks run to their end, before others and at their times."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harness import eventually

if TYPE_CHECKING:
    from tests.harness import Deployment

BEFORE = """\
[services.before]
kind = "task"
command = ["sh", "-c", "echo working; test -e ok || exit 7; echo done"]
[services.web]
kind = "command"
command = "sleep 1000"
needs = ["before"]
ready = { delay = 0 }
"""
NIGHT = """\
[services.night]
kind = "task"
command = "sh -c 'echo run >> runs'"
at = "03:00"
"""


def task(deployment: Deployment, name: str) -> dict[str, Any]:
    found = deployment.service(name)["task"]
    assert isinstance(found, dict)
    return found


def runs(deployment: Deployment) -> int:
    file = deployment.root / "runs"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_what_needs_a_task_waits_for_its_good_end(deployment: Deployment) -> None:
    """A failure has its last lines, and what needs it waits; a start by name runs it again."""
    deployment.configure(BEFORE)
    envelope = deployment.json("start", code=1)
    (error,) = envelope["errors"]
    assert error["message"] == "before failed: exit code 7: working"
    assert error["output"] == ["working"]
    assert deployment.service("web")["detail"] == "waiting for before"
    (deployment.root / "ok").touch()
    deployment.run("start", "before")
    eventually(lambda: deployment.state("web") == "running")
    found = task(deployment, "before")
    assert (found["succeeded"], found["next_run"]) == (True, None)
    assert deployment.run("status").returncode == 0
    first = found["last_run"]
    deployment.run("start")  # it has done its work
    assert task(deployment, "before")["last_run"] == first


def test_an_interval_never_runs_it_twice_at_once(deployment: Deployment) -> None:
    """What is due meanwhile is counted; stopped on request, it has no next time."""
    deployment.configure(
        '[services.tick]\nkind = "task"\nevery = 1\nrun_timeout = 100\n'
        'command = ["sh", "-c", "echo run >> runs; until test -e ok; do sleep 0.1; done"]\n'
    )
    deployment.run("start", "--no-wait")
    eventually(lambda: task(deployment, "tick")["refused"] >= 2)
    assert runs(deployment) == 1
    (deployment.root / "ok").touch()
    eventually(lambda: runs(deployment) >= 3)
    deployment.run("stop", "tick")
    assert deployment.state("tick") == "stopped"
    assert task(deployment, "tick")["next_run"] is None


def test_a_time_that_was_missed_is_made_up_for_once(deployment: Deployment) -> None:
    """It waits for its first time; a manager that was away for days runs it once."""
    deployment.configure(NIGHT)
    deployment.run("start")
    found = deployment.service("night")
    assert (found["state"], found["detail"]) == ("exited", "not run yet")
    assert datetime.fromisoformat(found["task"]["next_run"]).timestamp() > time.time()
    deployment.run("shutdown")
    file = Path(deployment.paths().state, "tasks.json")
    pasts = json.loads(file.read_text())
    pasts["night"]["handled"] -= 3 * 86400
    file.write_text(json.dumps(pasts))
    deployment.run("start")
    eventually(lambda: task(deployment, "night")["succeeded"])
    deployment.run("shutdown")
    deployment.run("start")
    assert deployment.service("night")["detail"] == "not run yet"
    assert runs(deployment) == 1
    deployment.run("start", "night")
    assert runs(deployment) == 2
    deployment.configure(NIGHT.replace("03:00", "04:00"))
    deployment.run("reload")
    assert "T04:00:00" in task(deployment, "night")["next_run"]


def test_a_task_that_never_ends_fails_after_its_time(deployment: Deployment) -> None:
    """`run_timeout` limits a run; a file of earlier runs that makes no sense changes nothing."""
    deployment.configure(
        '[services.slow]\nkind = "task"\ncommand = "sleep 1000"\nrun_timeout = 0.5\n'
    )
    deployment.run("start", code=1)
    Path(deployment.paths().state, "tasks.json").write_text('{"slow": 3}')
    found = deployment.service("slow")
    assert found["state"] == "failed"
    assert found["detail"].startswith("still running after 0.5 s (run_timeout)")
    deployment.run("shutdown")
    said = deployment.run("start", code=1).stderr
    assert "slow failed: still running after 0.5 s" in said
