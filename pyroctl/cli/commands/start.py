"""`pyroctl start`: start services and what they need."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.arguments import services_argument
from pyroctl.cli.background import ensure_manager
from pyroctl.cli.output import Result
from pyroctl.control.client import call
from pyroctl.errors import EXIT_OK, ManagerNotRunning, NoAnswer, Reported, UsageError

if TYPE_CHECKING:
    from pyroctl.cli.app import App

UP = frozenset({"running", "exited"})


@cli.command("start")
@services_argument
@click.option("--atomic", is_flag=True, help="If a service fails, stop what was started.")
@click.option(
    "--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer than that."
)
@click.option("--no-wait", is_flag=True, help="Return without waiting for the services.")
def command(
    app: App, services: tuple[str, ...], *, atomic: bool, wait: float | None, no_wait: bool
) -> Result:
    """Start services and what they need.

    Each service starts as soon as its own needs are ready; without a name, all enabled services
    start. The command returns when each is ready or has failed. If no manager is running, one is
    started in the background.

    If a service fails, its last lines of output are shown, and it is left to its restart policy.
    Only what needs it waits, everything else stays up. Ctrl-C ends the waiting and stops nothing.
    """
    if atomic + (wait is not None) + no_wait > 1:
        raise UsageError("--atomic, --wait and --no-wait exclude each other")
    launched = ensure_manager(app)
    more = {"atomic": "yes"} if atomic else {"until_left": "yes"}
    if no_wait:
        more["no_wait"] = "yes"
    if wait is not None:
        more["wait"] = str(wait)
    try:
        reply = app.call("start", services, **more)
    except Reported:
        _end_unused(app, launched=launched)
        raise
    if atomic and reply["exit_code"] != EXIT_OK:
        _end_unused(app, launched=launched)
    up = any(row["state"] in UP for row in reply["data"]["services"])
    if not app.touched and reply["exit_code"] == EXIT_OK and not no_wait:
        running = ", ".join(row["name"] for row in reply["data"]["services"])
        app.output.progress(f"already running: {running}" if running else "no service is enabled")
    return Result(reply["data"], reply["errors"], reply["exit_code"], partial=up)


def _end_unused(app: App, *, launched: bool) -> None:
    """End the manager that this command has started, unless it has something to do."""
    if launched:
        with contextlib.suppress(ManagerNotRunning, NoAnswer):
            call(app.paths, "shutdown", {"if_idle": True})
