"""`{name}` and its like in the texts of a service."""

from __future__ import annotations

import pytest

from pyroctl.config.load import load
from pyroctl.core.expansion.placeholders import fill
from pyroctl.core.spec import CommandOptions, NameReady, ObjectOptions
from pyroctl.errors import ConfigError
from pyroctl.kinds import LaunchContext, check_resolved, launch

VALUES = {"name": "cam", "instance": "2", "ns.port": "9090"}
CONTEXT = LaunchContext("lab", "/", "python", {}, needed={"ns.host": "h", "ns.port": "9090"})


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{name}-{instance}:{ns.port}", "cam-2:9090"),
        ("{{name}} {{ns.port}} {{name}", "{name} {ns.port} {name}"),
        ("awk '{print}' {} {a,b} { name } {name", "awk '{print}' {} {a,b} { name } {name"),
        ('{"a":{"b":{"name":1}}}', '{"a":{"b":{"name":1}}}'),
        (
            "{{.Names}} {{ x }} {{x}} ${name} {es.port}",
            "{{.Names}} {{ x }} {{x}} ${name} {es.port}",
        ),
    ],
)
def test_only_placeholders_are_replaced(text, filled):
    """Every other brace stays as it is, so commands that have some need no change."""
    assert fill(text, VALUES) == filled


def services(tmp_path, text):
    file = tmp_path / "pyroctl.toml"
    file.write_text("[services.ns]\nkind = 'nameserver'\n" + text)
    return load(str(file), {}, "/").deployment.services


def test_they_stand_in_commands_variables_directories_and_names(tmp_path):
    """Each instance gets its own number; the configuration is shown as it was written."""
    text = """[services.cam]
kind = "command"
command = ["run", "{name}{instance}", "--ns={ns.host}:{ns.port}"]
cwd = "/data/{instance}"
env = { WHO = "{name}.{instance}" }
needs = ["ns"]
instances = 2
ready = { pyro_name = "lab.cam{instance}" }
"""
    found = services(tmp_path, text)
    second = launch(found["cam@2"], CONTEXT)
    assert second.argv == ("run", "cam2", "--ns=h:9090")
    assert (second.cwd, second.env["WHO"]) == ("/data/2", "cam.2")
    assert isinstance(second.readiness, NameReady)
    assert second.readiness.pyro_name == "lab.cam2"
    options = found["cam@2"].options
    assert isinstance(options, CommandOptions)
    assert options.command[1] == "{name}{instance}"


def test_an_instance_has_its_number_in_its_name_once(tmp_path):
    """After a dot, or where the name says."""
    text = "[services.{}]\nkind = 'object'\nobject = 'm:C'\ninstances = 2\npyro_name = '{}'\n"
    found = services(
        tmp_path, text.format("a", "lab.a") + text.format("b", "lab.{instance}.{name}")
    )
    names = [s.options.pyro_name for s in found.values() if isinstance(s.options, ObjectOptions)]
    assert names == ["lab.a.1", "lab.a.2", "lab.1.b", "lab.2.b"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("command = ['x', '{es.host}']", '{es.host}: there is no service "es"'),
        ("command = ['x', '{pool.uri}']", "{pool.uri}: the service doesn't need pool"),
        ("command = 'x'\nenv.A = '{instance}'", "{instance} has no value"),
        ("command = 'x'\ncwd = '{names}'", "there is no placeholder {names}"),
        ("command = ['x', '{ns.prot}']", "there is no placeholder {ns.prot}"),
        ("command = 'x'\nready = { pyro_name = '{ns.host}' }", "{ns.host} can't be part of a name"),
        ("needs = ['pool']\ncommand = ['x', '{pool.uri}']", "pool has several instances"),
    ],
)
def test_a_placeholder_without_a_value_is_a_fault(tmp_path, line, message):
    """It has a place, and a hint."""
    pool = "[services.pool]\nkind = 'command'\ncommand = 'x'\ninstances = 2\n"
    with pytest.raises(ConfigError) as caught:
        services(tmp_path, f"{pool}[services.c]\nkind = 'command'\n{line}\n")
    (fault,) = caught.value.diagnostics
    assert message in fault.message
    assert (fault.line or 0) > 8
    assert fault.hint


def test_a_service_without_an_address_is_told_apart_at_the_start(tmp_path):
    """Whether a command has an address is known only once it runs."""
    text = "[services.f]\nkind = 'command'\ncommand = 'f'\n"
    text += "[services.c]\nkind = 'command'\ncommand = ['c', '{f.port}']\nneeds = ['f']\n"
    spec = services(tmp_path, text)["c"]
    with pytest.raises(ValueError, match="f has no port"):
        check_resolved(spec, CONTEXT)
