"""The table of `pyroctl status`: it fits, it is current, and it marks what is not meant to run."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from pyroctl import __version__
from pyroctl.cli.output import Output, table
from pyroctl.cli.status import view
from pyroctl.cli.status.view import render
from pyroctl.paths import Paths
from pyroctl.view.services import why
from tests.harness import eventually
from tests.real.test_main_job import PAIR
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from tests.harness import Deployment

PATHS = Paths("/srv/run", "/srv/state", "/srv/logs")
MANAGER = {
    "pid": 1, "state": "running", "config": "x.toml", "uptime_s": 1.0, "version": __version__,
}  # fmt: skip
ENDED = {"code": None, "signal": 15, "text": "killed by SIGTERM", "time": "2026-01-31T12:00:00"}


def row(**changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": "laser", "kind": "command", "state": "running", "pid": 12345, "uptime_s": 300.0,
        "restarts": 0, "uri": None, "exit": None, "needs": [], "cpu_percent": 12.3,
        "rss_bytes": 27_000_000, "detail": "",
    }  # fmt: skip
    return facts | changes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exit": ENDED}, ""),
        ({"exit": ENDED, "state": "starting"}, ""),
        ({"detail": "waiting for ns", "exit": ENDED, "state": "starting"}, "waiting for ns"),
        ({"detail": "measuring", "exit": ENDED}, "measuring"),
        ({"detail": "did not answer", "exit": ENDED, "state": "backoff"}, "did not answer"),
        ({"exit": ENDED, "state": "stopped"}, ""),
        ({"exit": ENDED, "state": "failed", "restarts": 5}, "killed by SIGTERM"),
    ],
)
def test_a_reason_is_the_detail_or_the_last_end(changes: dict[str, Any], expected: str) -> None:
    """Nothing about its last end if the service is up again, or was stopped on request."""
    assert why(row(**changes)) == expected


def test_only_states_are_coloured() -> None:
    """A service may be called like a state."""
    data = {
        "manager": MANAGER,
        "services": [row(name="failed")],
        "enabled": ["failed"],
    }
    output = Output()
    plain = render(data, output, PATHS)[2]
    output.color = "always"
    coloured = render(data, output, PATHS)[2]
    assert plain.startswith("failed   running  12345")
    assert coloured.startswith("failed   ")
    assert coloured != plain


def test_the_last_column_wraps_below_itself() -> None:
    """Long reasons continue in the same column and stay within the width."""
    reason = "the controller of the stage was not found on any of the ports that were tried"
    lines = table(("A", "WHY"), [("stage", reason)], width=40)
    assert max(map(len, lines)) <= 40
    assert all(line.startswith("       ") for line in lines[2:])
    assert " ".join(line[7:] for line in lines[1:]) == reason


@pytest.mark.parametrize(("columns", "usage"), [(80, False), (100, False), (100, True)])
def test_long_names_and_reasons_fit_the_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: int, usage: bool
) -> None:
    """Where the last column would be too narrow, the reason goes below its row."""
    reason = "exit code 3: RuntimeError: the pump of the laboratory does not answer; given up"
    down = row(name="thermostat-of-the-cryostat", state="failed", pid=None, detail=reason)
    monkeypatch.setattr(view, "terminal_width", lambda: columns)
    output = Output()
    output.verbose = int(usage)
    data = {"manager": MANAGER, "services": [row(), down], "enabled": ["laser", down["name"]]}
    head, _, laser, first, *rest = render(data, output, PATHS)
    assert head.startswith("manager running")
    assert laser.startswith("laser  ")
    assert max(map(len, (laser, first, *rest))) <= columns
    assert reason in " ".join(line.strip() for line in (first, *rest))


def test_the_head_names_an_upgrade_and_an_unusual_place_of_the_sockets() -> None:
    """The manager of an earlier version goes on until it is told to."""
    output = Output()
    output.deployment = lambda: ["--root", "/srv"]
    data = {"manager": MANAGER | {"version": "0.0.9"}, "services": [], "enabled": []}
    moved = PATHS._replace(run="/tmp/pyroctl-0/0123")
    assert render(data, output, moved)[1:3] == [
        f"manager 0.0.9, installed {__version__}: pyroctl --root /srv reexec",
        "sockets are in /tmp/pyroctl-0/0123: the path of --root is too long",
    ]
    assert len(render(data | {"manager": MANAGER}, output, PATHS)) == 2


def test_the_table_of_an_event_service_fits_a_hundred_columns(deployment: Deployment) -> None:
    """Its counters have a line of their own; CPU and memory come with -v."""
    deployment.configure(PAIR)
    deployment.run("start")
    for args in (["status"], ["status", "-v"]):
        lines = deployment.run(*args).stdout.splitlines()[1:]
        assert max(map(len, lines)) <= 100, lines
        assert lines[-1].strip() == "0 subscribers, 0 published, 0 delivered, 0 dropped"
        assert ("MEMORY" in lines[0]) is ("-v" in args)
    assert " MB " in lines[1]


def test_a_restarted_service_shows_no_old_reason(deployment: Deployment) -> None:
    """Once it runs again, the table doesn't show how it ended before."""
    deployment.configure(service("laser", "gate", "/", more="restart_delay = 0.01"))
    deployment.run("start")
    os.kill(deployment.service("laser")["pid"], signal.SIGKILL)
    eventually(lambda: (r := deployment.service("laser"))["restarts"] and r["state"] == "running")
    assert "SIGKILL" not in deployment.run("status").stdout


def test_disabled_services_are_marked(deployment: Deployment) -> None:
    """Those that `start` does not start differ from those that are down."""
    deployment.configure(
        service("laser", "gate", "/") + service("spare", "gate", "/", more="enabled = false")
    )
    for code, command in ((3, "status"), (0, "start"), (0, "status")):
        shown = deployment.run(command, code=code).stdout.splitlines()
        assert all(line.endswith("disabled") is ("spare" in line) for line in shown), shown


def test_after_a_crash_of_the_manager_services_are_down_and_not_just_stopped(
    deployment: Deployment,
) -> None:
    """The status reports it until the next start; after a shutdown it does not."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    pid = deployment.manager_pid()
    deployment.kill_manager()
    eventually(lambda: not deployment.processes())
    expected = f"down: the manager (pid {pid}) did not shut down"
    assert expected in deployment.run("status", code=3).stdout
    assert deployment.json("status", code=3)["data"]["services"][0]["detail"] == expected
    deployment.run("start")
    deployment.run("shutdown")
    assert "down" not in deployment.run("status", code=3).stdout.partition("\n")[2]


def test_after_a_crash_of_the_manager_only_what_was_up_is_down(deployment: Deployment) -> None:
    """Not what had ended by itself, what a person had stopped, or what never ran."""
    deployment.configure(
        "".join(service(name, "gate", "/") for name in ("laser", "idle"))
        + service("spare", "gate", "/", more="enabled = false")
        + '[services.once]\nkind = "command"\ncommand = ["true"]\nrestart = "on-failure"\n'
        + "ready = { delay = 0 }\n"
    )
    deployment.run("start")
    deployment.run("stop", "idle")
    eventually(lambda: deployment.state("once") == "exited")
    deployment.kill_manager()
    eventually(lambda: not deployment.processes())
    rows = deployment.json("status", code=3)["data"]["services"]
    assert [row["name"] for row in rows if row["detail"].startswith("down: ")] == ["laser"]


def test_an_unknown_service_is_an_error_without_a_table(deployment: Deployment) -> None:
    """An empty table would say nothing."""
    deployment.configure(service("laser", "gate", "/"))
    for start in (False, True):
        if start:
            deployment.run("start")
        found = deployment.run("status", "lasr", code=4)
        assert (found.stdout, "did you mean 'laser'?" in found.stderr) == ("", True)
