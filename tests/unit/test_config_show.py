"""What `config show` says: values, their origins, and TOML."""

from __future__ import annotations

import pytest

from pyroctl.config.edit.show import format_value, show
from pyroctl.config.load import load
from pyroctl.config.source.diagnostics import Origin


@pytest.fixture
def loaded(tmp_path):
    def write_and_load(text, environ=None):
        file = tmp_path / "pyroctl.toml"
        file.write_text(text, encoding="utf-8")
        return load(str(file), environ or {}, "/")

    return write_and_load


def test_origins(loaded, tmp_path):
    """Each value knows its file and line, env files included, or that it is a default."""
    env = tmp_path / "es.env"
    env.write_text("\nA=1\nB=2\n", encoding="utf-8")
    result = loaded(
        """\
[services]
ns = { kind = "nameserver", log.keep = 1 }
[services.es]
kind = "eventservice"
env_file = "es.env"
env.B = "3"
"""
    )
    file = tmp_path / "pyroctl.toml"
    assert result.origins["services.ns.kind"] == Origin(str(file), 2, 8)
    assert str(result.origins["services.ns.log.keep"]) == f"{file}:2"
    assert str(result.origins["services.es.kind"]) == f"{file}:4"
    assert str(result.origins["services.es.env.A"]) == f"{env}:2"
    assert str(result.origins["services.es.env.B"]) == f"{file}:6"
    for key in ("manager.name", "services.ns.log.max_bytes", "services.es.needs"):
        assert str(result.origins[key]) == "default"


def test_show_is_in_the_order_of_the_configuration(loaded):
    """The manager comes first, then the services as they stand in the file."""
    result = loaded(
        '[services.b]\nkind = "command"\ncommand = ["x", "y z"]\nready = "notify"\numask = "022"\n'
        '[services."a.1"]\nkind = "nameserver"\n[manager]\nname = "n"\n'
    )
    rows = [(key, format_value(value)) for key, value, _ in show(result)]
    assert rows[:7] == [
        ("manager.name", '"n"'),
        ("manager.orphans", '"stop"'),
        ("manager.strict", "false"),
        ("manager.allow", "[]"),
        ("services.b.kind", '"command"'),
        ("services.b.command", '["x", "y z"]'),
        ("services.b.ready", '"notify"'),
    ]
    assert ("services.b.umask", '"0022"') in rows
    assert ('services."a.1".port', "9090") in rows
    assert [key for key, _ in rows] == list(result.origins)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (5, "5"),
        (0.1, "0.1"),
        (30.0, "30.0"),
        ('a"\\\n\x7fé', '"a\\"\\\\\\n\\u007Fé"'),
        ([1, "a"], '[1, "a"]'),
        ({"a b": [], "c": False}, '{ "a b" = [], c = false }'),
        ([], "[]"),
        ({}, "{}"),
    ],
)
def test_values_as_toml(value, text):
    """A value is written as TOML on one line."""
    assert format_value(value) == text
