"""`pyroctl ls`: list the deployments that run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result, table
from pyroctl.control.registry import running
from pyroctl.printable import printable

if TYPE_CHECKING:
    from pyroctl.cli.app import App
    from pyroctl.control.registry import Entry

HEAD = ("NAME", "PID", "ROOT", "CONFIGURATION")


@cli.command("ls")
def command(app: App) -> Result:
    """List this user's deployments that run.

    Each has a name, its manager's pid, its --root directory and its configuration file; and the
    directory of its sockets, if the root's path is too long for them.
    """
    found = running(os.environ)
    rows = [_cells(entry) for entry in found]
    if rows:
        for line in table(HEAD, rows):
            app.output.print(line)
    else:
        app.output.progress("no deployment is running")
    facts = ("name", "pid", "root", "config")
    return Result({"deployments": [{key: getattr(entry, key) for key in facts} for entry in found]})


def _cells(entry: Entry) -> list[str]:
    cells = [entry.name, str(entry.pid), entry.root or "-", entry.config or "-"]
    *first, config = map(printable, cells)
    if entry.paths.run_is_elsewhere:
        config += f"\nsockets are in {printable(entry.paths.run)}: the path of --root is too long"
    return [*first, config]
