"""The deployments in config/ are for copying: they load, and they have comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyroctl.config.edit.template import starting_deployment
from pyroctl.config.load import load
from pyroctl.core.options.page import WebOptions
from pyroctl.core.spec import NameServerOptions, builtin_deployment

EXAMPLES = sorted((Path(__file__).parents[2] / "config").glob("*.toml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=[file.name for file in EXAMPLES])
def test_an_example_loads(file):
    """An example deployment is valid without any environment, and is named after its file."""
    deployment = load(str(file), {}, "/").deployment
    assert deployment.name == file.stem
    assert {"ns", "es"} <= deployment.services.keys()


@pytest.mark.parametrize("file", EXAMPLES, ids=[file.name for file in EXAMPLES])
def test_an_example_has_comments(file):
    """Every service of an example has a comment."""
    lines = file.read_text(encoding="utf-8").splitlines()
    tables = [number for number, line in enumerate(lines) if line.startswith("[services.")]
    assert tables
    bodies = zip(tables, [*tables[1:], len(lines)], strict=True)
    silent = [
        lines[start]
        for start, end in bodies
        if "#" not in lines[start - 1] + "".join(lines[start:end])
    ]
    assert silent == []


def test_there_are_examples():
    """The folder that the tests above go through is not empty."""
    assert [file.name for file in EXAMPLES] == [
        "lab.toml",
        "laptop.toml",
        "pool.toml",
        "systemd.toml",
    ]


@pytest.mark.parametrize("page", [True, False])
def test_the_starting_deployment_is_what_runs_without_a_file(tmp_path, page):
    """What `pyroctl init` writes is the built-in deployment, with or without a page."""
    file = tmp_path / "pyroctl.toml"
    file.write_text(starting_deployment(page=page), encoding="utf-8")
    written = load(str(file), {}, "/").deployment
    builtin = builtin_deployment(str(tmp_path), page=page)
    assert (written.name, written.services) == (builtin.name, builtin.services)


def test_what_the_starting_deployment_suggests_is_right(tmp_path):
    """The keys that are commented out in it would be accepted."""
    lines = []
    for line in starting_deployment(page=False).splitlines():
        uncommented = line.removeprefix("# ")
        lines.append(uncommented if uncommented.startswith(("[", "kind")) or "=" in line else line)
    text = "\n".join(lines)
    assert "[services.quotes]\nkind" in text
    file = tmp_path / "pyroctl.toml"
    file.write_text(text, encoding="utf-8")
    services = load(str(file), {}, "/").deployment.services
    assert services["web"].options == WebOptions(port=8787, access="configure")
    assert services["quotes"].env == {"LEVEL": "info"}
    assert services["ns"].options == NameServerOptions(storage=f"sql:{tmp_path}/names.sqlite")
