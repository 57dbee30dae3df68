"""`pyroctl shutdown`: stop all services and the manager."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from pyroctl.cli import command as cli
from pyroctl.cli.background import reattach_orphans
from pyroctl.cli.output import Result
from pyroctl.cli.warn import warn, warning_options
from pyroctl.control.client import manager_pid
from pyroctl.errors import ManagerNotRunning, NoAnswer, Reported

if TYPE_CHECKING:
    from pyroctl.cli.app import App
    from pyroctl.paths import Paths

EXIT_TIMEOUT = 5.0
"""Seconds until the manager must have exited, once all services are stopped."""


@cli.command("shutdown")
@warning_options
def command(app: App, *, yes: bool, safe: bool) -> Result:
    """Stop all services and the manager.

    Like restart, the command warns before clients lose something. Processes that survive SIGKILL
    are listed and left behind.
    """
    reattach_orphans(app)
    pid = manager_pid(app.paths)
    try:
        warn(app, "shutdown", (), yes=yes, safe=safe)
        try:
            reply = app.call("shutdown")
        except Reported:
            _wait_for_exit(pid, app.paths)  # some processes may be left
            raise
    except ManagerNotRunning:
        app.output.progress("no manager is running")
        return Result({"stopped": []})
    _wait_for_exit(pid, app.paths)
    app.output.progress("all services are stopped")
    return Result(reply["data"], reply["errors"], reply["exit_code"])


def _wait_for_exit(pid: int | None, paths: Paths) -> None:
    if not pid:
        return
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([pidfd], [], [], EXIT_TIMEOUT)[0]:
            raise NoAnswer(
                f"the manager (pid {pid}) has not exited", hint=f"see {paths.manager_log}"
            )
    finally:
        os.close(pidfd)
