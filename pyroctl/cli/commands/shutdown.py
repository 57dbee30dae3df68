"""`pyroctl shutdown`: stop everything, and the manager."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from pyroctl.cli import command as cli
from pyroctl.cli.background import take_over_orphans
from pyroctl.cli.output import Result
from pyroctl.cli.warn import warn, warning_options
from pyroctl.control.client import manager_pid
from pyroctl.errors import ManagerNotRunning, NoAnswer, Reported

if TYPE_CHECKING:
    from pyroctl.cli.app import App
    from pyroctl.paths import Paths

END_TIMEOUT = 5.0
"""Seconds that the manager's process has to end after it has stopped everything."""


@cli.command("shutdown")
@warning_options
def command(app: App, *, yes: bool, safe: bool) -> Result:
    """Stop all services, and the manager.

    Warns as restart does. What can't be ended, not even by SIGKILL, is named, and left.
    """
    take_over_orphans(app)
    pid = manager_pid(app.paths)
    try:
        warn(app, "shutdown", (), yes=yes, safe=safe)
        try:
            reply = app.call("shutdown")
        except Reported:
            _wait_for_end(pid, app.paths)  # with what it can't end
            raise
    except ManagerNotRunning:
        app.output.progress("nothing runs here")
        return Result({"stopped": []})
    _wait_for_end(pid, app.paths)
    app.output.progress("everything is stopped")
    return Result(reply["data"], reply["errors"], reply["exit_code"])


def _wait_for_end(pid: int | None, paths: Paths) -> None:
    if not pid:
        return
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([pidfd], [], [], END_TIMEOUT)[0]:
            raise NoAnswer(
                f"the manager (pid {pid}) has not ended", hint=f"see {paths.manager_log}"
            )
    finally:
        os.close(pidfd)
