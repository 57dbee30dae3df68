"""`pyroctl restart`: give services a fresh process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("restart")
@click.argument("services", nargs=-1, required=True, type=cli.ServiceName(), metavar="SERVICE...")
def command(app: App, services: tuple[str, ...]) -> Result:
    """Restart services, one after the other.

    Each is ready before the next one is touched. A service that doesn't run is started.
    """
    reply = app.call("restart", services)
    done = reply["data"] is not None and bool(reply["data"]["restarts"])
    return Result(reply["data"], reply["errors"], reply["exit_code"], partial=done)
