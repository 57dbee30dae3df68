"""A deployment that several users share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import BIN, Deployment, eventually
from tests.other_user import OTHER, needs_root, others_can_run_pyroctl, run_as_other

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

TICKS = '[services.tick]\nkind = "command"\ncommand = "sh -c \'echo hello; exec sleep 1000\'"\n'
LAB = 4242


def allow(role: str) -> str:
    return f'[[manager.allow]]\ngroups = ["{LAB}"]\nrole = "{role}"\n\n'


@pytest.fixture
def as_member(open_deployment: Deployment):
    """Run a command as another user, who is in the group of the laboratory."""
    if not others_can_run_pyroctl():
        pytest.skip("Python is installed where other users may not go")

    def run(*args: str, groups: tuple[int, ...] = (LAB,)) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [BIN / "pyroctl", *open_deployment.place, *args]
        done = run_as_other(command, groups, env=open_deployment.env)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@needs_root
def test_a_group_shares_a_deployment(open_deployment: Deployment, as_member) -> None:
    """A viewer sees status and logs; a refusal is exit 4 and says who, what, and who grants it."""
    deployment = open_deployment
    config = deployment.configure(allow("view") + TICKS)
    deployment.run("start")
    assert "tick     running" in as_member("status").stdout
    assert "hello" in as_member("logs").stdout
    assert f"(pid {deployment.manager_pid()}) answers" in as_member("ping").stdout
    refused = as_member("restart", "tick")
    assert refused.returncode == 4
    assert (
        f"not permitted: nobody (uid {OTHER}) has the role view, and restart needs the role"
        " operate" in refused.stderr
    )
    assert f"root (uid 0), who runs the manager, grants it with [[manager.allow]] in {config}" in (
        refused.stderr
    )
    assert as_member("shutdown").returncode == 4
    assert as_member("status", groups=()).returncode == 4


@needs_root
def test_a_reload_changes_roles_at_once(open_deployment: Deployment, as_member) -> None:
    """What an operator does is logged with the name; whoever loses the role is locked out."""
    deployment = open_deployment
    config = deployment.configure(allow("operate") + TICKS)
    deployment.run("start")
    pid = deployment.service("tick")["pid"]
    assert as_member("restart", "tick").returncode == 0
    assert deployment.service("tick")["pid"] != pid
    assert f"restart, requested by nobody (uid {OTHER})" in deployment.manager_log()
    config.write_text(TICKS)
    assert "manager.allow" in deployment.run("reload").stdout
    assert as_member("status").returncode == 4
    config.write_text(allow("configure") + TICKS)
    deployment.ask("reload")
    assert as_member("shutdown").returncode == 0
    eventually(lambda: not deployment.processes())


@needs_root
def test_a_shared_socket_is_made_again_as_it_was(open_deployment: Deployment, as_member) -> None:
    """After the runtime directory was removed, the group gets in again."""
    deployment = open_deployment
    deployment.configure(allow("view") + TICKS)
    deployment.run("start")
    run = deployment.root / "run"
    (run / "control.sock").unlink()
    eventually(deployment.listens)
    eventually(lambda: as_member("status").returncode == 0)
    assert run.stat().st_gid == LAB


def test_rules_are_checked(deployment: Deployment) -> None:
    """A role that isn't one, or a rule for nobody, has its place; unknown names are warnings."""
    path = deployment.configure('[[manager.allow]]\nrole = "views"\n\n' + TICKS)
    refused = deployment.run("config", "check", code=6).stderr
    assert 'did you mean "view"?' in refused
    path.write_text('[[manager.allow]]\nrole = "view"\n\n' + TICKS)
    assert "expected users, groups or clients" in deployment.run("config", "check", code=6).stderr
    path.write_text('[[manager.allow]]\nrole = "view"\ngroup = ["x"]\n\n' + TICKS)
    assert "did you mean groups?" in deployment.run("config", "check", code=6).stderr
    path.write_text('[[manager.allow]]\nrole = "view"\nusers = ["rooot"]\n\n' + TICKS)
    checked = deployment.run("config", "check")
    assert 'there is no user "rooot" on this machine' in checked.stderr
    assert 'did you mean "root"?' in checked.stderr
    shown = deployment.run("config", "show").stdout
    assert (
        'manager.allow = [{ role = "view", users = ["rooot"], groups = [], clients = [] }]' in shown
    )
    path.unlink()
