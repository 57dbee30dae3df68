"""`pyroctl run`: run the manager in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.foreground import run_manager

if TYPE_CHECKING:
    from pyroctl.cli.app import App
    from pyroctl.cli.output import Result


@cli.command("run")
@click.option(
    "--logs/--no-logs",
    "show_logs",
    default=None,
    help="Print the services' output. [default: on a terminal, and as process 1 of a container]",
)
def command(app: App, *, show_logs: bool | None) -> Result:
    """Run the manager in the foreground and start the enabled services.

    It never forks. SIGTERM or Ctrl-C stops all services in order; a second signal kills the
    remaining processes.
    """
    return run_manager(app, show_logs=show_logs)
