"""`pyroctl start`: start services and what they need."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pyroctl.cli import command as cli
from pyroctl.cli.background import ensure_manager
from pyroctl.cli.output import Result
from pyroctl.errors import EXIT_OK, ManagerNotRunning, NoAnswer

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("start")
@cli.services_argument
def command(app: App, services: tuple[str, ...]) -> Result:
    """Start services and what they need.

    In the order of their needs; returns when they are ready. Without a name: all enabled services.
    Starts a manager in the background if none runs. If a service doesn't become ready, its last
    lines are shown, and what this command has started is stopped again.
    """
    launched = ensure_manager(app)
    failed = True
    try:
        reply = app.call("start", services)
        failed = reply["exit_code"] != EXIT_OK
    finally:
        if launched and failed:
            with contextlib.suppress(ManagerNotRunning, NoAnswer):  # somebody else was faster
                app.call("shutdown")
    return Result(reply["data"], reply["errors"], reply["exit_code"])
