"""`pyroctl status`: show the services and their states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.arguments import services_argument
from pyroctl.cli.status.view import show

if TYPE_CHECKING:
    from pyroctl.cli.app import App
    from pyroctl.cli.output import Result


@cli.command("status")
@services_argument
@click.option(
    "--watch", is_flag=True, help="Refresh until Ctrl-C; --json prints an object per line."
)
@click.option("--tree", is_flag=True, help="Show dependencies as a tree.")
@click.option("--interval", default=1.0, show_default=True, help="Seconds between refreshes.")
def command(
    app: App, services: tuple[str, ...], *, watch: bool, tree: bool, interval: float
) -> Result:
    """Show services and their states.

    For named services, also show how recent runs ended.

    The exit status is 0 if all named (or enabled) services are running, 3 if one is not, and 4 if
    one does not exist or the manager does not answer.
    """
    if watch:
        from pyroctl.cli.status.watch import watch_status

        return watch_status(app, services, interval, tree=tree)
    return show(app, services, tree=tree)
