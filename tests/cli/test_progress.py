"""What commands report while the manager works: what they touch, and what is awaited."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pyroctl.cli.commands.reload import _row
from pyroctl.cli.progress import waiting
from tests.real.test_start_and_stop import service
from tests.real.test_warnings import on_a_terminal

if TYPE_CHECKING:
    from tests.harness import Deployment


def row(name: str, state: str, *needs: str, detail: str = "") -> dict[str, Any]:
    return {"name": name, "state": state, "needs": needs, "detail": detail, "exit": None,
            "restarts": 0}  # fmt: skip


def test_what_is_awaited_names_states_needs_and_times() -> None:
    """Only what was asked for and what that needs counts."""
    rows = [
        row("es", "running"),
        row("stage", "starting", detail="homing"),
        row("logger", "stopped", "stage", "es"),
        row("other", "starting"),
        row("w@1", "backoff", "stage"),
    ]
    ages = {"stage": 3.2, "other": 1.0, "w@1": 12.6}
    assert list(waiting(rows, ["logger", "w"], ages)) == [
        "stage starting for 3 s (homing)",
        "logger waits for stage",
        "w@1 backoff for 13 s",
    ]


def test_a_start_reports_only_what_it_touches(deployment: Deployment) -> None:
    """Services that ran before are not reported, unless they were named."""
    base = service("base", "gate", "/")
    deployment.configure(base + service("nightly", "gate", "/", more='needs = ["base"]'))
    deployment.run("start", "base")
    said = deployment.run("start", "nightly").stderr
    assert "nightly running" in said
    assert "base" not in said
    assert "base running" in deployment.run("start", "base").stderr
    assert deployment.run("start").stderr == "already running: base, nightly\n"


def test_a_terminal_shows_what_is_awaited_and_a_pipe_does_not(deployment: Deployment) -> None:
    """The line is replaced in place and removed at the end."""
    deployment.configure(
        '[services.slow]\nkind = "command"\ncommand = "sleep 600"\nready = { delay = 2.5 }\n'
        '[services.leaf]\nkind = "command"\ncommand = "sleep 600"\nneeds = ["slow"]\n'
    )
    code, screen = on_a_terminal(deployment, "", "start")
    assert code == 0
    assert re.search(r"\r\x1b\[Kslow starting for \d s · leaf waits for slow", screen)
    assert screen.rpartition("\x1b[K")[2].strip() == "" or "running" in screen.splitlines()[-1]
    deployment.run("stop")
    assert "\r" not in deployment.run("start").stderr


def test_a_plan_is_toml_without_null() -> None:
    """Keys without a value are left out, and lists and tables are TOML."""
    new = {"every": 2.0, "port": None, "command": None, "call": {"of": None, "to": True}}
    step = {
        "service": "es", "action": "restart", "why": None,
        "changes": [{"key": "watchdog", "old": None, "new": new}],
    }  # fmt: skip
    assert _row(step)[2] == "watchdog: (not set) → { every = 2.0, call = { to = true } }"


def test_a_reload_and_its_dry_run_look_different(deployment: Deployment) -> None:
    """The one reports that nothing was changed, the other that it is done."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    deployment.configure(service("laser", "gate", "/", more="stop_timeout = 3"))
    dry, wet = deployment.run("reload", "--dry-run"), deployment.run("reload")
    assert dry.stdout == wet.stdout
    assert "nothing was changed; to apply it: pyroctl --root" in dry.stderr
    assert wet.stderr == "done: 1 change in effect\n"


def test_a_reload_that_is_taken_back_does_not_look_like_two_successes(
    deployment: Deployment,
) -> None:
    """A service that runs again with its old settings is reported as such."""
    files = deployment.root / "open", deployment.root / "shut"
    files[0].touch()
    base, late = (service(name, "gate", str(files[0])) for name in ("base", "late"))
    deployment.configure(base + late)
    deployment.run("start")
    broken = service("late", "die", "1", more='needs = ["base"]')
    deployment.configure(service("base", "gate", str(files[0]), more="nice = 1") + broken)
    said = deployment.run("reload", "--color", "always", code=1).stderr
    assert "base \x1b[32mrunning\x1b[0m" in said
    assert "base running again (pid" in said
