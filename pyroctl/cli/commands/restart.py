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
@click.option(
    "--handover",
    "how",
    flag_value="handover",
    help="Let the new process of an event service take over from the old one.",
)
@click.option(
    "--notify", "how", flag_value="notify", help="Tell the subscribers of an event service."
)
@warning_options
def command(
    app: App, services: tuple[str, ...], *, how: str | None, yes: bool, safe: bool
) -> Result:
    """Restart services, one after the other.

    Each is ready before the next one is touched. A service that doesn't run is started. Before
    clients lose something by it (plain subscribers of an event service, names that a name server
    has in memory) they are listed; on a terminal you are asked.

    An event service does what its on_restart says, unless --handover or --notify is given. In a
    hand-over the new process takes all connections, queues and subscriptions; if that can't be
    done, the old one goes on serving.
    """
    more = {"how": how} if how else {}
    warn(app, "restart", services, yes=yes, safe=safe, **more)
    reply = app.call("restart", services, **more)
    done = reply["data"]["restarts"]
    for entry in done:
        if line := _describe(entry):
            app.output.progress(line)
    return Result(reply["data"], reply["errors"], reply["exit_code"], partial=bool(done))


def _describe(entry: dict[str, Any]) -> str:
    """Say what a restart has cost the subscribers; nothing if there are none."""
    if entry.get("how") == "handover":
        kept = f"handed over with {entry['carried']} subscribers"
        return f"{entry['service']}: {kept} ({entry['seconds']:g} s)"
    if not entry.get("notified") and not entry.get("lost"):
        return ""
    told = f"{entry['notified']} aware subscribers told, {entry['resubscribed']} of them back"
    lost = f", {len(entry['lost'])} plain ones lost" if entry["lost"] else ""
    return f"{entry['service']}: {told}{lost} ({entry['seconds']:g} s)"
