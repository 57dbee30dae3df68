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
    assert sorted((e["line"], e["service"]) for e in errors) == [
        (2, "es"),
        (7, "feed"),
        (8, "feed"),
    ]
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
    assert "3 services" in deployment.run("config", "check").stdout
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
    assert shown["services"]["es"]["when_full"] == "drop-oldest"
    lines = deployment.run("config", "show", "--origin").stdout.splitlines()
    (port,) = [line for line in lines if line.startswith("services.es.port")]
    assert "4711" in port
    assert f"{path}:3" in port
    assert any(line.startswith("services.es.when_full") and "default" in line for line in lines)
    data = deployment.json("config", "show")["data"]
    assert data["values"]["services.es.port"] == 4711
    assert data["origins"]["services.es.port"] == {"file": str(path), "line": 3}


ABSENT = """\
[services.ns]
kind = "nameserver"
storage = "sql:gone/names.db"
[services.cam]
kind = "object"
object = "nowhere.cam:Cam"
path = "lib"
user = "dameon"
[services.odd]
kind = "object"
object = "lab.optics.odd:Odd"
[services.cmd]
kind = "command"
command = ["no-such-program"]
cwd = "gone"
group = "no-such-group"
instances = 2
ready = { command = "./probe.sh" }
watchdog = { command = "./watch.sh" }
stop_command = "./bye.sh"
[services.es]
kind = "eventservice"
ident_file = "gone.key"
"""


def test_what_is_not_on_this_machine_is_a_warning(deployment: Deployment) -> None:
    """Each with place, key and service; the configuration is valid all the same."""
    path = deployment.configure(ABSENT)
    optics = deployment.root / "lab" / "optics"
    optics.mkdir(parents=True)
    (optics / "__init__.py").write_text("raise RuntimeError('imported')")
    (deployment.root / "watch.sh").touch(0o700)
    checked = deployment.run("config", "check")
    root = deployment.root
    assert [line.split(":", 4)[2:] for line in checked.stderr.splitlines() if "warn" in line] == [
        ["3", "1", f" services.ns.storage: there is no directory {root}/gone"],
        ["7", "1", f" services.cam.path: there is no directory {root}/lib"],
        ["8", "1", ' services.cam.user: there is no user "dameon" on this machine'],
        ["6", "1", " services.cam.object: there is no module nowhere"],
        ["11", "1", " services.odd.object: there is no module lab.optics.odd"],
        ["15", "1", f" services.cmd.cwd: there is no directory {root}/gone"],
        ["16", "1", ' services.cmd.group: there is no group "no-such-group" on this machine'],
        ["14", "1", ' services.cmd.command: there is no program "no-such-program" on PATH'],
        ["18", "11", ' services.cmd.ready.command: there is no program "./probe.sh"'],
        ["20", "1", ' services.cmd.stop_command: there is no program "./bye.sh"'],
        ["19", "14", ' services.cmd.watchdog.command: there is no program "./watch.sh"'],
        ["23", "1", f" services.es.ident_file: there is no file {root}/gone.key"],
    ]
    assert 'hint: did you mean "daemon"?' in checked.stderr
    assert checked.stdout == f"{path}: valid, 6 services, 12 warnings\n"
    warnings = deployment.json("config", "check")["data"]["warnings"]
    assert [(each["service"], each["line"]) for each in warnings[:2]] == [("ns", 3), ("cam", 7)]
    skipped = deployment.run("config", "check", "--no-env-checks")
    assert (skipped.stderr, skipped.stdout) == ("", f"{path}: valid, 6 services\n")


def test_what_is_on_this_machine_is_no_warning(deployment: Deployment) -> None:
    """Modules beside the file, of the installation and of Python itself; programs and users."""
    (deployment.root / "mine.py").touch()
    objects = ("mine:A", "Pyro5.api:Proxy", "xml.dom.minidom:Document", "sys:path", "pyro_host:X")
    deployment.configure(
        "".join(
            f'[services.a{n}]\nkind = "object"\nobject = "{each}"\n'
            for n, each in enumerate(objects)
        )
        + '[services.b]\nkind = "command"\ncommand = "python x.py"\nuser = "root"\ngroup = "0"\n'
        '[services.c]\nkind = "command"\ncommand = "/bin/sh -c true"\ncwd = "/"\n'
    )
    assert deployment.run("config", "check").stderr == ""


def test_secrets_are_hidden_wherever_the_configuration_is_shown(deployment: Deployment) -> None:
    """Values of env and env_file, in text and JSON, in plans and errors; --reveal shows them."""
    (deployment.root / "keys.env").write_text("LASER_KEY=s3cret-1\n")
    text = (
        '[services.a]\nkind = "command"\ncommand = "sleep 1000"\nenv_file = "keys.env"\n'
        'env = { TOKEN = "s3cret-2" }\n'
    )
    path = deployment.configure(text)
    deployment.run("start")
    for command in (
        *(("show",), ("show", "--origin"), ("get", "services.a"), ("get", "services.a.env")),
        *(("get", "services.a.env.LASER_KEY"), ("set", "services.a.env.MORE", "s3cret-3")),
    ):
        for form in ((), ("--json",)):
            done = deployment.run("config", *command, *form)
            assert ("s3cret" in done.stdout + done.stderr, "***" in done.stdout + done.stderr) == (
                False, True
            ), done  # fmt: skip
    assert "s3cret" not in deployment.run("reload", "--dry-run").stdout
    assert "s3cret" not in deployment.run("reload", "--dry-run", "--json").stdout
    shown = deployment.run("config", "show", "--reveal").stdout
    assert all(f"s3cret-{n}" in shown for n in (1, 2, 3))
    key = ("config", "get", "services.a.env.LASER_KEY", "--reveal")
    assert deployment.run(*key).stdout == "s3cret-1\n"
    deployment.run("config", "unset", "services.a.env.MORE")
    path.write_text(text.replace('{ TOKEN = "s3cret-2" }', '"TOKEN=s3cret-2"'))
    failed = deployment.run("config", "check", "--json", code=6)
    assert "s3cret" not in failed.stdout + failed.stderr
    path.write_text(text)


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
