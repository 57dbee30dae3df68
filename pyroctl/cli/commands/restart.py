"""`pyroctl restart`: replace the processes of services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.arguments import ServiceName
from pyroctl.cli.output import Result
from pyroctl.cli.warn import warn, warning_options
from pyroctl.view.text import counted

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("restart")
@click.argument("services", nargs=-1, required=True, type=ServiceName(), metavar="SERVICE...")
@click.option(
    "--handover",
    "how",
    flag_value="handover",
    help="Hand an event service over to its new process.",
)
@click.option(
    "--notify", "how", flag_value="notify", help="Notify the subscribers of an event service."
)
@warning_options
def command(
    app: App, services: tuple[str, ...], *, how: str | None, yes: bool, safe: bool
) -> Result:
    """Restart services one at a time.

    Each service is ready before the next is restarted; a service that is not running is started.
    The command first lists what clients would lose (plain subscriptions to an event service, names
    in a name server's memory), and on a terminal asks for confirmation, or for a handover where
    that is possible.

    An event service restarts according to its on_restart key unless --handover or --notify is
    given. In a handover, the new process takes over all connections, queues and subscriptions; if
    that fails, the old process keeps serving.
    """
    more = {"how": how} if how else {}
    if warn(app, "restart", services, yes=yes, safe=safe, **more):
        more["how"] = "handover"
    reply = app.call("restart", services, **more)
    done = reply["data"]["restarts"]
    for entry in done:
        if line := _describe(entry):
            app.output.progress(line)
    return Result(reply["data"], reply["errors"], reply["exit_code"], partial=bool(done))


def _describe(entry: dict[str, Any]) -> str:
    """Return what a restart meant for the subscribers; an empty text without any."""
    if entry.get("how") == "handover":
        kept = f"handed over with {counted(entry['carried'], 'subscriber')}"
        return f"{entry['service']}: {kept} ({entry['seconds']:g} s)"
    if not entry.get("notified") and not entry.get("lost"):
        return ""
    aware = counted(entry["notified"], "aware subscriber")
    aware += f" notified, {entry['resubscribed']} returned"
    lost = f", {counted(len(entry['lost']), 'plain one')} lost" if entry["lost"] else ""
    return f"{entry['service']}: {aware}{lost} ({entry['seconds']:g} s)"
