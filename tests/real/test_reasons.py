"""Why a service is down, in its own words; and nothing of that once it runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyroctl.core.outcome import LONGEST_SAID, last_said
from tests.harness import eventually
from tests.real.test_adoption import ADOPT
from tests.real.test_lifecycle_events import NAMED, hearing

if TYPE_CHECKING:
    from tests.harness import Deployment

STAGE = """
[services.stage]
kind = "command"
command = ["sh", "stage"]
ready = { delay = 0.3 }
restart_delay = 0.05
start_limit = 3
"""
LAST = "OSError: stage controller not found on /dev/ttyUSB0"
BROKEN = f"echo trying; printf '{LAST}'; exit 1"
"""Its last line has no end."""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["first", "last"], "last"),
        (["KeyError: 1", "", "  +-----", "^^^"], "KeyError: 1"),
        (["\x1b[31mred\x1b[0m \x07 \r"], r"red \x07"),
        (["x" * 1000], "x" * (LONGEST_SAID - 1) + "…"),
        (["", "--"], ""),
        (["trying", "PYRO:Pyro.NameServer@localhost:41105"], "trying"),
        (["PYRO:es@localhost:1 is ready, registered in the name server"], ""),
        ([], ""),
    ],
)
def test_the_last_line_that_says_something(lines: list[str], said: str) -> None:
    """It is short, printable and without colours; rules and markers say nothing."""
    assert last_said(lines) == said


@pytest.mark.parametrize(
    "manager", [NAMED, ADOPT.replace("[manager]\n", '[manager]\nname = "lab"\n')]
)
def test_a_failure_is_explained_by_the_last_line(deployment: Deployment, manager: str) -> None:
    """Status, JSON, the error of the start and the history have it; also with adoption."""
    (deployment.root / "stage").write_text(BROKEN)
    deployment.configure(manager + STAGE)
    failed = deployment.run("start", "stage", code=1)
    assert f"stage did not become ready: exit code 1: {LAST}" in failed.stderr
    row = eventually(lambda: (r := deployment.service("stage"))["state"] == "failed" and r)
    assert row["detail"] == f"exit code 1: {LAST}; given up after 3 starts in 60 s"
    assert row["exit"]["text"] == "exit code 1"
    assert [entry["reason"] for entry in row["history"]] == [f"exit code 1: {LAST}"] * 3
    assert f"exit code 1: {LAST}; given up" in deployment.run("status", code=3).stdout
    runs = deployment.run("status", "stage", code=3).stdout.partition("recent runs")[2]
    assert (runs.count(LAST), runs.count("(as above)")) == (1, 2)
    (deployment.root / "stage").write_text("exec sleep 1000")
    deployment.run("start", "stage")
    assert deployment.service("stage")["detail"] == ""
    deployment.run("stop", "stage")
    assert deployment.service("stage")["detail"] == ""
    assert deployment.service("stage")["history"][-1]["reason"] == "stop requested"


def test_a_service_that_runs_again_has_no_reason_of_its_last_end(deployment: Deployment) -> None:
    """Neither in the status nor in the events that an alarm would mail."""
    (deployment.root / "stage").write_text(f"test -e repaired && exec sleep 1000; {BROKEN}")
    deployment.configure(NAMED + STAGE.replace("= 3\n", "= 0\n"))
    deployment.run("start", "es")
    with hearing(deployment) as news:
        deployment.run("start", "stage", "--no-wait")
        eventually(lambda: "backoff" in news.states("stage"))
        (deployment.root / "repaired").touch()
        eventually(lambda: "running" in news.states("stage"))
        reasons = {
            state: {
                m["reason"] for _, m in news.got if (m["service"], m["state"]) == ("stage", state)
            }
            for state in ("starting", "backoff", "running")
        }
    failure = f"exit code 1: {LAST}"
    assert reasons == {"starting": {None}, "backoff": {failure}, "running": {None}}
    row = deployment.service("stage")
    assert (row["detail"], row["exit"]["text"], row["restarts"] > 0) == ("", "exit code 1", True)
    assert "stage is starting\n" in deployment.manager_log()
