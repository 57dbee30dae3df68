"""`pyroctl run`: be the manager, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.foreground import be_manager

if TYPE_CHECKING:
    from pyroctl.cli.app import App
    from pyroctl.cli.output import Result


@cli.command("run")
@click.option(
    "--logs/--no-logs",
    "show_logs",
    default=None,
    help="Print what the services say. [default: on a terminal, and as process 1 of a container]",
)
def command(app: App, *, show_logs: bool | None) -> Result:
    """Run the manager in the foreground.

    Starts the enabled services. It never forks. SIGTERM or Ctrl-C stops
    everything in order; a second one kills what is left.
    """
    return be_manager(app, show_logs=show_logs)
