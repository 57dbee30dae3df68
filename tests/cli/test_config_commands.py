"""init and config, for a user who writes a first deployment."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness import Deployment

BAD = """\
[services.es]
kind = "eventservise"

[services.feed]
kind = "command"
command = ["feed"]
needs = ["ess"]
start_timout = 5
"""


def test_a_bad_configuration_lists_every_error_and_starts_nothing(deployment: Deployment) -> None:
    """Each command exits with 6 and lists file:line:col, key and a suggestion."""
    path = deployment.configure(BAD)
    for command in (("config", "check"), ("start",), ("run",), ("status",)):
        failed = deployment.run(*command, code=6)
        for line in (2, 7, 8):
            assert f"{path}:{line}:" in failed.stderr
        for name in ("eventservice", "es", "start_timeout"):
            assert name in failed.stderr
    assert not deployment.processes()
    errors = deployment.json("config", "check", code=6)["errors"]
    assert {e["code"] for e in errors} == {"config"}
    assert sorted(e["line"] for e in errors) == [2, 7, 8]
    path.unlink()


def test_a_broken_file_does_not_disable_the_commands_of_a_running_manager(
    deployment: Deployment,
) -> None:
    """status, stop and shutdown ask the manager, not the file."""
    path = deployment.configure('[services.x]\nkind = "command"\ncommand = "sleep 1000"')
    deployment.run("start")
    path.write_text("[[[ nonsense")
    deployment.run("status")
    deployment.run("restart", "x")
    deployment.run("stop")
    deployment.run("shutdown")
    deployment.run("status", code=6)
    path.unlink()


def test_a_missing_file_is_a_configuration_error(deployment: Deployment) -> None:
    """`-c` and PYROCTL_CONFIG must name a file that exists."""
    missing = str(deployment.root / "nix.toml")
    assert "nix.toml" in deployment.run("-c", missing, "start", code=6).stderr
    deployment.env["PYROCTL_CONFIG"] = missing
    assert "nix.toml" in deployment.run("status", code=6).stderr
    del deployment.env["PYROCTL_CONFIG"]


def test_init_writes_a_deployment_that_is_good_at_once(deployment: Deployment) -> None:
    """It equals the built-in deployment; a second init does not overwrite it."""
    before = deployment.run("config", "show").stdout
    path = deployment.root / "pyroctl.toml"
    assert deployment.run("init").stdout == f"{path}\n"
    assert "2 services" in deployment.run("config", "check").stdout
    assert deployment.run("config", "show").stdout == before
    text = path.read_text()
    assert "already exists" in deployment.run("init", code=1).stderr
    assert path.read_text() == text
    other = deployment.root / "labs" / "one.toml"
    deployment.run("init", str(other))
    assert other.read_text() == text


def test_show_prints_every_setting_as_toml_with_its_origin(deployment: Deployment) -> None:
    """--origin adds file:line to each line; without it, the output is valid TOML."""
    path = deployment.configure('[services.es]\nkind = "eventservice"\nport = 4711\n')
    shown = tomllib.loads(deployment.run("config", "show").stdout)
    assert shown["services"]["es"]["port"] == 4711
    assert shown["services"]["es"]["when_full"] == "block"
    lines = deployment.run("config", "show", "--origin").stdout.splitlines()
    (port,) = [line for line in lines if line.startswith("services.es.port")]
    assert "4711" in port
    assert f"{path}:3" in port
    assert any(line.startswith("services.es.when_full") and "default" in line for line in lines)
    data = deployment.json("config", "show")["data"]
    assert data["values"]["services.es.port"] == 4711
    assert data["origins"]["services.es.port"] == {"file": str(path), "line": 3}


@pytest.mark.parametrize("value", ["9999", '"${ES_PORT:-9999}"'])
def test_variables_expand(deployment: Deployment, value: str) -> None:
    """A port may come from the environment, with a default."""
    deployment.configure(f'[services.es]\nkind = "eventservice"\nport = {value}\n')
    shown = json.loads(deployment.run("config", "show", "--json").stdout)
    assert shown["data"]["values"]["services.es.port"] == 9999


def test_another_configuration_below_the_same_root_is_refused(deployment: Deployment) -> None:
    """A command for another file does not affect the services of this one."""
    deployment.configure('[services.x]\nkind = "command"\ncommand = "sleep 1000"')
    deployment.run("start")
    other = deployment.root / "other.toml"
    other.write_text('[services.x]\nkind = "command"\ncommand = "sleep 2000"')
    for command in (("status",), ("start",), ("stop", "x"), ("shutdown",)):
        refused = deployment.run("-c", str(other), *command, code=2)
        assert "pyroctl.toml, not" in refused.stderr
    assert deployment.state("x") == "running"
