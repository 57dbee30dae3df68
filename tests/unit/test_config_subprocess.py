"""Loading the configuration in a process of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyroctl.config.load import load
from pyroctl.config.subprocess_loader import load_apart
from pyroctl.core.spec import CommandOptions, builtin_deployment
from pyroctl.errors import ConfigError, PyroctlError

if TYPE_CHECKING:
    from pathlib import Path

ALL_KINDS = """
[manager]
name = "lab"
[services.ns]
kind = "nameserver"
[services.es]
kind = "eventservice"
needs = ["ns"]
watchdog = { every = 2 }
[services.market]
kind = "object"
object = "stocks:Market"
instances = 2
[services.feed]
kind = "command"
command = ["feed", "${SPEED:-fast}"]
ready = { port = 4000 }
log = { max_bytes = 5_000_000 }
"""


def test_it_returns_the_same_deployment(tmp_path: Path) -> None:
    """Every value survives the transfer from the other process."""
    file = tmp_path / "lab.toml"
    file.write_text(ALL_KINDS)
    environ = {**os.environ, "SPEED": "slow"}
    found = load_apart(str(file), environ, str(tmp_path))
    assert found == load(str(file), environ, str(tmp_path)).deployment
    options = found.services["feed"].options
    assert isinstance(options, CommandOptions)
    assert options.command == ("feed", "slow")


def test_it_returns_the_same_errors(tmp_path: Path) -> None:
    """The error has all diagnostics, with their places."""
    file = tmp_path / "lab.toml"
    file.write_text('[services.es]\nkind = "eventservice"\nport = "x"\nneeds = ["nobody"]\n')
    with pytest.raises(ConfigError) as here:
        load(str(file), os.environ, str(tmp_path))
    with pytest.raises(ConfigError) as apart:
        load_apart(str(file), os.environ, str(tmp_path))
    assert apart.value.entries() == here.value.entries()
    assert len(apart.value.entries()) == 2


def test_the_builtin_deployment_needs_no_process(tmp_path: Path) -> None:
    """The built-in deployment needs no check."""
    assert load_apart(None, {}, str(tmp_path)) == builtin_deployment(str(tmp_path), page=True)


def test_a_process_that_dies_is_an_error(tmp_path: Path) -> None:
    """The manager reports an error that the process can't report itself."""
    file = tmp_path / "lab.toml"
    file.write_text(ALL_KINDS)
    with pytest.raises(PyroctlError, match="was not loaded: the process that loads it exited with"):
        load_apart(str(file), {"PYTHONHOME": str(tmp_path / "nowhere")}, str(tmp_path))
