"""`pyroctl start`: start services and what they need."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pyroctl.cli import command as cli
from pyroctl.cli.arguments import services_argument
from pyroctl.cli.background import ensure_manager
from pyroctl.cli.output import Result
from pyroctl.errors import EXIT_OK, ManagerNotRunning, NoAnswer

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("start")
@services_argument
def command(app: App, services: tuple[str, ...]) -> Result:
    """Start services and what they need.

    Services start in dependency order; without a name, all enabled services start. The command
    returns when they are ready. If no manager is running, one is started in the background. If a
    service does not become ready, its last lines of output are shown, and the services started by
    this command are stopped again.
    """
    launched = ensure_manager(app)
    failed = True
    try:
        reply = app.call("start", services)
        failed = reply["exit_code"] != EXIT_OK
    finally:
        if launched and failed:
            with contextlib.suppress(ManagerNotRunning, NoAnswer):  # another command was faster
                app.call("shutdown")
    if not app.touched and not failed:
        running = ", ".join(row["name"] for row in reply["data"]["services"])
        app.output.progress(f"already running: {running}" if running else "no service is enabled")
    return Result(reply["data"], reply["errors"], reply["exit_code"])
