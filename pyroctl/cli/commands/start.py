"""`pyroctl start`: start services and what they need."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.arguments import services_argument
from pyroctl.cli.background import await_end, ensure_manager
from pyroctl.cli.output import Result
from pyroctl.control.client import call, crashed_manager
from pyroctl.errors import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    ManagerExited,
    ManagerNotRunning,
    NoAnswer,
    Reported,
    ShuttingDown,
    UsageError,
)

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
    start, except those that have exited successfully. The command returns when each is ready or has
    failed. If no manager is running, one is started in the background.

    If a service fails, its last lines of output are shown, and it is left to its restart policy.
    Only what needs it waits, everything else stays up. Ctrl-C ends the waiting and stops nothing.
    """
    if atomic + (wait is not None) + no_wait > 1:
        raise UsageError("--atomic, --wait and --no-wait exclude each other")
    more = {"atomic": "yes"} if atomic else {"until_left": "yes"}
    if no_wait:
        more["no_wait"] = "yes"
    if wait is not None:
        more["wait"] = str(wait)
    try:
        reply, launched = _request(app, services, more)
    except KeyboardInterrupt:
        app.output.progress("")  # the terminal shows ^C
        if _some_start(app):
            app.output.progress(
                app.output.suggest("they go on starting: pyroctl status shows them")
            )
        return Result(exit_code=EXIT_INTERRUPTED)
    if atomic and reply["exit_code"] != EXIT_OK:
        _end_unused(app, launched=launched)
    up = any(row["state"] in UP for row in reply["data"]["services"])
    if not app.touched and reply["exit_code"] == EXIT_OK and not no_wait:
        running = ", ".join(row["name"] for row in reply["data"]["services"])
        app.output.progress(f"already running: {running}" if running else "no service is enabled")
    return Result(reply["data"], reply["errors"], reply["exit_code"], partial=up)


def _request(
    app: App, services: tuple[str, ...], more: dict[str, str]
) -> tuple[dict[str, Any], bool]:
    """Return the reply of the manager, and whether this command has started it.

    If the manager is shutting down, for another command, wait for that and start the next one.
    """
    while True:
        launched = ensure_manager(app)
        try:
            return app.call("start", services, **more), launched
        except KeyboardInterrupt:
            _end_unused(app, launched=launched)
            raise
        except ManagerNotRunning:  # it ended between the two calls
            if launched:
                raise
        except ManagerExited:
            if not await_end(app) or crashed_manager(app.paths) is not None:
                raise
        except Reported as error:
            if error.entries()[0]["code"] != ShuttingDown.code:
                _end_unused(app, launched=launched)
                raise
            if not await_end(app):
                raise


def _some_start(app: App) -> bool:
    """Return whether a manager is starting services."""
    with contextlib.suppress(ManagerNotRunning, NoAnswer):
        rows = call(app.paths, "status", {"services": []})["data"]["services"]
        return any(row["state"] == "starting" for row in rows)
    return False


def _end_unused(app: App, *, launched: bool) -> None:
    """End the manager that this command has started, unless it has something to do."""
    if launched:
        with contextlib.suppress(ManagerNotRunning, NoAnswer):
            call(app.paths, "shutdown", {"if_idle": True})
