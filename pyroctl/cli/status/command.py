"""`pyroctl status`: a table of services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.status.view import show

if TYPE_CHECKING:
    from pyroctl.cli.app import App
    from pyroctl.cli.output import Result


@cli.command("status")
@cli.services_argument
@click.option("--watch", is_flag=True, help="Refresh until Ctrl-C; with --json an object a line.")
@click.option("--tree", is_flag=True, help="Show what needs what.")
@click.option("--interval", default=1.0, show_default=True, help="Seconds between refreshes.")
def command(
    app: App, services: tuple[str, ...], *, watch: bool, tree: bool, interval: float
) -> Result:
    """Show services and their state.

    Of services that are named, also how their last runs ended.

    Exit status: 0 if all (named, or enabled) services run, 3 if one doesn't, 4 if one is unknown
    or the manager doesn't answer.
    """
    if watch:
        from pyroctl.cli.status.watch import watch_status

        return watch_status(app, services, interval, tree=tree)
    return show(app, services, tree=tree)
