"""`pyroctl config`: show, check and change the configuration."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.commands.config.edit import edit
from pyroctl.cli.commands.config.values import get, set_, unset
from pyroctl.cli.output import Result
from pyroctl.view.text import counted

if TYPE_CHECKING:
    from pyroctl.cli.app import App

BUILT_IN = "the built-in deployment"

command = cli.group("config", "Show, check and change the configuration.")


@cli.command("check")
@click.option(
    "--no-env-checks", is_flag=True, help="Don't look for programs, modules, users and files."
)
def check(app: App, *, no_env_checks: bool) -> Result:
    """Check the configuration, and report every error with its place and a suggestion.

    These are warnings, with which the exit status is 0: programs, modules, users, groups, files and
    directories that aren't on this machine, services that anybody on the network can use, and rules
    to which no client comes.
    """
    loaded = app.load()
    services = list(loaded.deployment.services)
    warnings = loaded.doubtful(None if no_env_checks else os.environ)
    for warning in warnings:
        app.output.progress(f"warning: {warning}")
        if warning.hint:
            app.output.progress(f"    hint: {warning.hint}")
    counts = [counted(len(services), "service")]
    counts += [counted(len(warnings), "warning")] if warnings else []
    app.output.print(f"{app.config or BUILT_IN}: valid, {', '.join(counts)}")
    entries = [entry for warning in warnings for entry in warning.entries()]
    return Result({"file": app.config, "services": services, "warnings": entries})


@cli.command("show")
@click.option("--origin", is_flag=True, help="Add the origin of each value.")
@click.option("--reveal", is_flag=True, help="Show values of env, which may be secret.")
def show(app: App, *, origin: bool, reveal: bool) -> Result:
    """Print all settings in effect, including defaults."""
    from pyroctl.config.edit.show import format_value
    from pyroctl.config.edit.show import show as settings_of

    values: dict[str, Any] = {}
    origins: dict[str, Any] = {}
    for key, value, place in settings_of(app.load(), reveal=reveal):
        values[key] = value
        origins[key] = place.entry()
        line = f"{key} = {format_value(value)}"
        app.output.print(f"{line}    # {place}" if origin else line)
    return Result({"file": app.config, "values": values, "origins": origins})


@cli.command("path")
def path(app: App) -> Result:
    """Print the paths of all configuration files in use.

    The main file comes first, then its includes and drop-ins in the order in which they are read.
    Invalid files are listed, too. The built-in deployment has none.
    """
    files: list[str] = []
    if app.config is not None:
        from pyroctl.config.source.sources import read_sources

        files = read_sources(app.config, os.environ).files
    else:
        app.output.progress(f"no configuration file: {BUILT_IN}")
    for file in files:
        app.output.verbatim(file)
    return Result({"file": app.config, "files": files})


@cli.command("schema")
def schema(app: App) -> Result:
    """Print the JSON schema of the configuration, for editors that validate TOML."""
    from pyroctl.config.edit.json_schema import json_schema

    found = json_schema()
    for line in json.dumps(found, indent=2).splitlines():
        app.output.print(line)
    return Result(found)


for subcommand in (check, show, get, set_, unset, edit, path, schema):
    command.add_command(subcommand)
