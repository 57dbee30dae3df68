"""`pyroctl config`: look at the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result

if TYPE_CHECKING:
    from pyroctl.cli.app import App

BUILT_IN = "the built-in deployment"


command = cli.group("config", "Look at the configuration.")


@cli.command("check")
def check(app: App) -> Result:
    """Check the configuration: every fault, with its place and what was probably meant."""
    deployment = app.load().deployment
    count = len(deployment.services)
    what = f"{count} service" if count == 1 else f"{count} services"
    app.output.print(f"{app.config or BUILT_IN}: good, {what}")
    return Result({"file": app.config, "services": list(deployment.services)})


@cli.command("show")
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
def show(app: App, *, origin: bool) -> Result:
    """Show every setting as it is in effect, with defaults filled in."""
    from pyroctl.config.show import format_value
    from pyroctl.config.show import show as settings_of

    values: dict[str, Any] = {}
    origins: dict[str, Any] = {}
    for key, value, place in settings_of(app.load()):
        values[key] = value
        origins[key] = {"file": place.file, "line": place.line}
        line = f"{key} = {format_value(value)}"
        app.output.print(f"{line}    # {place}" if origin else line)
    return Result({"file": app.config, "values": values, "origins": origins})


@cli.command("path")
def path(app: App) -> Result:
    """Print the path of the configuration file in use; nothing for the built-in deployment."""
    if app.config is not None:
        app.output.print(app.config)
    else:
        app.output.progress(f"no configuration file: {BUILT_IN}")
    return Result({"file": app.config})


for subcommand in (check, show, path):
    command.add_command(subcommand)
