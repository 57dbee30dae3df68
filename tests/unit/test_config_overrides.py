"""Settings from the environment: which key a variable means, and what its text means there."""

from __future__ import annotations

import pytest

from pyroctl.config.edit.show import show
from pyroctl.config.load import load
from pyroctl.core.spec import EventServiceOptions, PortReady
from pyroctl.errors import ConfigError

CONFIGURATION = """\
[services.my-es]
kind = "eventservice"
stop_timeout = 1

[services.run]
kind = "command"
command = "run"
env = { LEVEL = "${LEVEL:-info}" }
"""


@pytest.fixture
def with_environment(tmp_path):
    def load_with(environ, more=""):
        file = tmp_path / "pyroctl.toml"
        file.write_text(CONFIGURATION + more, encoding="utf-8")
        return load(str(file), environ, "/")

    return load_with


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("PYROCTL_SERVICES_MY_ES_PORT", "9000", "services.my-es.port", 9000),
        ("PYROCTL_SERVICES_MY__ES_PORT", "9000", "services.my-es.port", 9000),
        ("PYROCTL_SERVICES_MY_ES_STOP_TIMEOUT", "2.5", "services.my-es.stop_timeout", 2.5),
        ("PYROCTL_SERVICES_RUN_STOP__TIMEOUT", "5", "services.run.stop_timeout", 5.0),
        ("PYROCTL_SERVICES_RUN_LOG_KEEP", "3", "services.run.log.keep", 3),
        ("PYROCTL_SERVICES_RUN_ENABLED", "false", "services.run.enabled", False),
        ("PYROCTL_SERVICES_RUN_RESTART", "never", "services.run.restart", "never"),
        ("PYROCTL_SERVICES_RUN_NEEDS", '["my-es"]', "services.run.needs", ["my-es"]),
        ("PYROCTL_SERVICES_RUN_COMMAND", "a 'b c' $x", "services.run.command", ["a", "b c", "$x"]),
        ("PYROCTL_SERVICES_RUN_ENV_LEVEL", "de$${bug}", "services.run.env.LEVEL", "de$${bug}"),
        ("PYROCTL_SERVICES_RUN_ENV_New_one", "[x", "services.run.env.New_one", "[x"),
        ("PYROCTL_SERVICES_RUN_LIMITS_NOFILE", "64", "services.run.limits.nofile", 64),
        ("PYROCTL_SERVICES_RUN_UMASK", "027", "services.run.umask", "0027"),
        ("PYROCTL_MANAGER_NAME", "lab", "manager.name", "lab"),
    ],
)
def test_a_variable_sets_its_key(with_environment, variable, text, key, value):
    """The text is converted to the type of the key, and the value knows its origin."""
    loaded = with_environment({variable: text})
    found = {str(k): v for k, v, _ in show(loaded)}
    assert found[key] == value
    assert str(loaded.origins[key]) == variable
    assert loaded.origins[key].entry() == {"file": None, "line": None, "variable": variable}


def test_a_table_is_written_as_toml(with_environment):
    """It replaces `ready` as a whole."""
    loaded = with_environment({"PYROCTL_SERVICES_RUN_READY": "{ port = 80 }"})
    assert loaded.deployment.services["run"].options.ready == PortReady(80)


def test_the_environment_replaces_what_could_not_be_expanded(with_environment):
    """A value that the environment sets need not be valid in the file."""
    more = 'umask = "${NIX}"\n'
    loaded = with_environment({"PYROCTL_SERVICES_RUN_UMASK": "022"}, more)
    assert loaded.deployment.services["run"].umask == 0o022


def test_the_built_in_deployment_can_be_set_too():
    """Its other values stay defaults."""
    loaded = load(None, {"PYROCTL_SERVICES_ES_PORT": "9000"}, "/lab")
    es = loaded.deployment.services["es"]
    assert isinstance(es.options, EventServiceOptions)
    assert (es.options.port, es.needs) == (9000, ("ns",))
    assert loaded.deployment.directory == "/lab"
    assert str(loaded.origins["services.es.kind"]) == "default"
    assert str(loaded.origins["services.es.port"]) == "PYROCTL_SERVICES_ES_PORT"


@pytest.mark.parametrize(
    ("variable", "text", "error"),
    [
        (
            "PYROCTL_SERVICES_MY_ES_PORT",
            "x",
            'services.my-es.port: expected an integer, got "x" from PYROCTL_SERVICES_MY_ES_PORT',
        ),
        (
            "PYROCTL_SERVICES_RUN_NICE",
            "20",
            "services.run.nice: must be at most 19, got 20 (from PYROCTL_SERVICES_RUN_NICE)",
        ),
        (
            "PYROCTL_SERVICES_MY_ES_PROT",
            "1",
            "PYROCTL_SERVICES_MY_ES_PROT in the environment is not a known setting",
        ),
        (
            "PYROCTL_SERVICES_NEW_KIND",
            "command",
            "PYROCTL_SERVICES_NEW_KIND in the environment is not a known setting",
        ),
        (
            "PYROCTL_SERVICES_RUN_NEEDS",
            '["gone"]',
            'services.run.needs[0]: there is no service "gone" (from PYROCTL_SERVICES_RUN_NEEDS)',
        ),
    ],
)
def test_errors_name_the_variable(with_environment, variable, text, error):
    """No variable with an error is ignored silently."""
    with pytest.raises(ConfigError) as caught:
        with_environment({variable: text})
    assert [str(found) for found in caught.value.diagnostics] == [error]


def test_a_variable_that_means_two_settings_is_an_error(with_environment):
    """The loader does not guess which service was meant."""
    more = '[services.my_es]\nkind = "eventservice"\n'
    with pytest.raises(ConfigError) as caught:
        with_environment({"PYROCTL_SERVICES_MY_ES_PORT": "1"}, more)
    (error,) = caught.value.diagnostics
    assert "services.my-es.port and services.my_es.port" in str(error)


def test_other_variables_of_ours_are_not_settings(with_environment):
    """The location of the configuration and what services receive are separate."""
    names = ("PYROCTL_CONFIG", "PYROCTL_ROOT", "PYROCTL_SERVICE", "PYROCTL_DEPLOYMENT")
    assert with_environment(dict.fromkeys(names, "x")).deployment.name == "default"


@pytest.mark.parametrize(
    "broken", ["services = 5", "[services]\nrun = 5", "[services.run]\nlog = 5"]
)
def test_a_value_in_place_of_a_table_stays_an_error(tmp_path, broken):
    """An override doesn't hide it, nor cause a traceback."""
    file = tmp_path / "pyroctl.toml"
    file.write_text(broken, encoding="utf-8")
    with pytest.raises(ConfigError):
        load(str(file), {"PYROCTL_SERVICES_RUN_LOG_KEEP": "1"}, "/")
