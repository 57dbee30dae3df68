"""config get, set, unset, edit, path and schema of the installed command."""

from __future__ import annotations

import json
import os
import shlex
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.real.test_warnings import on_a_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Deployment

TEXT = """\
# my deployment
[services.ns]
kind = "nameserver"
port = 0
[services.es]
kind = "eventservice"
needs = ["ns"]
"""


@pytest.fixture
def main(deployment: Deployment) -> Path:
    return deployment.configure(TEXT)


def dropin(deployment: Deployment) -> Path:
    return deployment.root / "pyroctl.d" / "90-pyroctl.toml"


def test_a_setting_is_set_and_got(deployment: Deployment, main: Path) -> None:
    """`get` prints bare values; `show --origin` names the place of each."""
    output = deployment.run("config", "set", "services.es.port", "9000").stderr
    assert str(dropin(deployment)) in output
    assert "reload" not in output
    assert deployment.run("config", "get", "services.es.port").stdout == "9000\n"
    shown = deployment.run("config", "show", "--origin").stdout.splitlines()
    (line,) = [line for line in shown if line.startswith("services.es.port")]
    assert line.startswith("services.es.port = 9000 ")
    assert f"{dropin(deployment)}:4" in line


def test_how_a_change_is_applied_is_said(deployment: Deployment, main: Path) -> None:
    """A reload applies keys of services; those of the manager wait for the next manager."""
    deployment.configure('[services.a]\nkind = "command"\ncommand = "sleep 1000"\n')
    deployment.run("start")
    said = deployment.run("config", "set", "services.a.stop_timeout", "5").stderr
    assert f"to apply it: pyroctl --root {deployment.root} reload" in said
    said = deployment.run("config", "set", "manager.orphans", "adopt").stderr
    root = f"pyroctl --root {deployment.root}"
    assert f"to apply it: {root} shutdown, then {root} start" in said
    said = deployment.run("config", "unset", "manager.orphans").stderr
    assert f"to apply it: {root} shutdown, then {root} start" in said


def test_a_service_that_is_not_there_is_named(deployment: Deployment, main: Path) -> None:
    """A typo doesn't begin a new service; an existing service without errors is not a typo."""
    found = deployment.json("config", "set", "services.ess.nice", "5", code=5)
    (error,) = found["errors"]
    assert error["message"] == "no service named 'ess'"
    assert (error["hint"], error["service"]) == ("did you mean 'es'?", "ess")
    assert not dropin(deployment).exists()
    new = '{ kind = "command", command = "true" }'
    deployment.run("config", "set", "services.new", new)
    deployment.run("config", "set", "services.new.nice", "5")


def test_text_needs_no_quotes(deployment: Deployment, main: Path) -> None:
    """A value that is not TOML is a string, as is a number where a string is required."""
    deployment.run("config", "set", "services.es.restart", "on-failure")
    assert deployment.run("config", "get", "services.es.restart").stdout == "on-failure\n"
    deployment.run("config", "set", "services.es.env.LEVEL", "1")
    shown = deployment.run("config", "get", "services.es.env", "--reveal").stdout
    assert shown == 'LEVEL = "1"\n'


def test_what_was_set_is_taken_back(deployment: Deployment, main: Path) -> None:
    """`set` and `unset` leave the main file and its comments unchanged."""
    deployment.run("config", "set", "services.es.port", "9000")
    assert main.read_text() == TEXT
    deployment.run("config", "unset", "services.es.port")
    assert deployment.run("config", "get", "services.es.port").stdout == "0\n"
    assert deployment.json("config", "unset", "services.es.port")["data"]["removed"] is False
    refused = deployment.run("config", "unset", "services.ns.port", code=1)
    assert f"{main}:4" in refused.stderr
    assert main.read_text() == TEXT


def test_a_bad_value_changes_nothing_and_names_the_error(
    deployment: Deployment, main: Path
) -> None:
    """The exit status is 6, as for every error in the configuration."""
    failed = deployment.run("config", "set", "services.es.port", "99999", code=6)
    assert "services.es.port: must be at most 65535" in failed.stderr
    failed = deployment.run("config", "set", "services.es.prot", "1", code=6)
    assert "did you mean port?" in failed.stderr
    assert not dropin(deployment).parent.exists()


def test_json_of_everything(deployment: Deployment, main: Path) -> None:
    """The JSON of each command has its documented data."""
    done = deployment.json("config", "set", "services.es.port", "9000")["data"]
    file = str(dropin(deployment))
    assert done == {"key": "services.es.port", "value": 9000, "file": file, "in_effect": True}
    got = deployment.json("config", "get", "services.es.port")["data"]
    assert got == {
        "key": "services.es.port",
        "value": 9000,
        "origin": {"file": file, "line": 4},
    }
    paths = deployment.json("config", "path")["data"]
    assert paths == {"file": str(main), "files": [str(main), file]}
    assert deployment.run("config", "path").stdout.splitlines() == paths["files"]
    done = deployment.json("config", "unset", "services.es.port")["data"]
    assert done == {"key": "services.es.port", "file": file, "removed": True}


def test_the_schema_is_printed(deployment: Deployment, main: Path) -> None:
    """The bare schema is the same as the one in the envelope."""
    schema = deployment.json("config", "schema")["data"]
    assert json.loads(deployment.run("config", "schema").stdout) == schema


def test_a_setting_from_the_environment_has_its_origin(deployment: Deployment, main: Path) -> None:
    """Its origin is the variable's name instead of file and line."""
    deployment.env["PYROCTL_SERVICES_NS_HOST"] = "127.0.0.1"
    host = deployment.json("config", "get", "services.ns.host")["data"]
    assert host["origin"]["variable"] == "PYROCTL_SERVICES_NS_HOST"
    origins = deployment.run("config", "show", "--origin").stdout
    assert 'services.ns.host = "127.0.0.1"    # PYROCTL_SERVICES_NS_HOST' in origins


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("get", "services.es.prot"), 2, "did you mean services.es.port?"),
        (("get", "services.ess.port"), 5, "did you mean 'es'?"),
        (("get", "services.es.cwd"), 1, "has no value"),
        (("get", "a b"), 2, "is not a valid key"),
        (("set", "services", "1"), 2, "not a single setting"),
        (("unset", "services.es.prot"), 2, "there is no setting"),
    ],
)
def test_invalid_keys(
    deployment: Deployment, main: Path, command: tuple[str, ...], code: int, words: str
) -> None:
    """An invalid key is an error that suggests a valid one."""
    assert words in deployment.run("config", *command, code=code).stderr


def test_a_value_without_effect_is_reported(deployment: Deployment, main: Path) -> None:
    """The environment takes precedence over a value, which is still written."""
    deployment.env["PYROCTL_SERVICES_ES_PORT"] = "9001"
    output = deployment.run("config", "set", "services.es.port", "9000").stderr
    assert "no effect: PYROCTL_SERVICES_ES_PORT" in output
    assert deployment.run("config", "get", "services.es.port").stdout == "9001\n"
    assert tomllib.loads(dropin(deployment).read_text())["services"]["es"]["port"] == 9000


def test_without_a_file_there_is_nothing_to_change(deployment: Deployment) -> None:
    """The built-in deployment cannot be changed; the error suggests `init`."""
    refused = deployment.run("config", "set", "services.es.port", "1", code=1)
    assert "init writes one" in refused.stderr
    assert deployment.run("config", "get", "services.ns.port").stdout == "9090\n"
    assert deployment.run("config", "path").stdout == ""


def editor(deployment: Deployment, program: str) -> None:
    """Set EDITOR to a Python program that receives the file as `text` and may change it."""
    code = (
        "import sys, pathlib; path = pathlib.Path(sys.argv[1]);"
        f"text = path.read_text() if path.exists() else ''; {program}; path.write_text(text)"
    )
    deployment.env["EDITOR"] = shlex.join([sys.executable, "-c", code])


def test_edit_checks_what_was_written(deployment: Deployment, main: Path) -> None:
    """A valid file is reported as such; an error is reported, the file kept, and the status 6."""
    editor(deployment, "text += '[manager]\\nname = \"lab\"\\n'")
    assert "valid" in deployment.run("config", "edit").stderr
    assert deployment.run("config", "get", "manager.name").stdout == "lab\n"
    editor(deployment, "text += 'colour = 1\\n'")
    failed = deployment.run("config", "edit", code=6)
    assert f"{main}:10:1" in failed.stderr
    assert "was kept" in failed.stderr
    assert main.read_text().endswith("colour = 1\n")
    assert f"{main}" in deployment.run("config", "path").stdout


def test_edit_makes_drop_ins(deployment: Deployment, main: Path) -> None:
    """DROPIN names a file; one that the editor does not write leaves nothing behind."""
    editor(deployment, "text += '[services.es]\\nport = 9002\\n'")
    deployment.run("config", "edit", "50-ports")
    assert (deployment.root / "pyroctl.d" / "50-ports.toml").exists()
    assert deployment.run("config", "get", "services.es.port").stdout == "9002\n"
    assert deployment.run("config", "edit", "../x", code=2).stderr.count(
        "not the name of a drop-in"
    )
    (deployment.root / "pyroctl.d" / "50-ports.toml").unlink()
    deployment.env["EDITOR"] = "true"
    deployment.run("config", "edit", "60-nothing")
    assert not (deployment.root / "pyroctl.d").exists()


def test_edit_without_a_working_editor(deployment: Deployment, main: Path) -> None:
    """The error says what failed and what to do."""
    deployment.env.pop("VISUAL", None)
    for value, words in (("", "no editor"), ("/nix", "cannot start"), ("false", "status 1")):
        deployment.env["EDITOR"] = value
        assert words in deployment.run("config", "edit", code=1).stderr
    deployment.env["VISUAL"] = "true"
    assert deployment.json("config", "edit")["data"]["services"] == ["ns", "es"]


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 6)])
def test_edit_on_a_terminal_offers_to_edit_again(
    deployment: Deployment, main: Path, answer: str, code: int
) -> None:
    """The second edit repairs the file."""
    editor(
        deployment, "text = text.replace('bad = 1', '') if 'bad' in text else text + 'bad = 1\\n'"
    )
    found, shown = on_a_terminal(deployment, answer, "config", "edit")
    assert found == code
    assert "services.es.bad: unknown key" in shown
    assert shown.count("unknown key") == 1


def test_keys_complete_without_starting_anything(deployment: Deployment, main: Path) -> None:
    """The keys of services in drop-ins complete, too, even with invalid values."""
    path = deployment.root / "pyroctl.d" / "10.toml"
    path.parent.mkdir()
    path.write_text('[services.more]\nkind = "command"\ncommand = 5\n')
    env = {
        "_PYROCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": f"pyroctl --root {deployment.root} config get services.more.comm",
        "COMP_CWORD": "5",
    }
    deployment.env |= env
    assert deployment.run().stdout == "plain,services.more.command\n"
    words = f"pyroctl --root {deployment.root} start mo"
    deployment.env |= {"COMP_WORDS": words, "COMP_CWORD": "4"}
    assert deployment.run().stdout == "plain,more\n"
    for name in env:
        del deployment.env[name]
    assert not os.path.exists(deployment.root / "run" / "control.sock")  # noqa: PTH110
