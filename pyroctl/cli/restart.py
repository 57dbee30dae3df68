"""`pyroctl restart`: give services a fresh process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.cli.warn import warn, warning_options

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("restart")
@click.argument("services", nargs=-1, required=True, type=cli.ServiceName(), metavar="SERVICE...")
@warning_options
def command(app: App, services: tuple[str, ...], *, yes: bool, safe: bool) -> Result:
    """Restart services, one after the other.

    Each is ready before the next one is touched. A service that doesn't run is started. Before
    clients lose something by it (plain subscribers of an event service, names that a name server
    has in memory) they are listed; on a terminal you are asked.
    """
    warn(app, "restart", services, yes=yes, safe=safe)
    reply = app.call("restart", services)
    done = reply["data"]["restarts"]
    for entry in done:
        if entry.get("notified") or entry.get("lost"):
            app.output.progress(_describe(entry))
    return Result(reply["data"], reply["errors"], reply["exit_code"], partial=bool(done))


def _describe(entry: dict[str, Any]) -> str:
    told = f"{entry['notified']} aware subscribers told, {entry['resubscribed']} of them back"
    lost = f", {len(entry['lost'])} plain ones lost" if entry["lost"] else ""
    return f"{entry['service']}: {told}{lost} ({entry['seconds']:g} s)"
