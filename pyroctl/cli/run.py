"""`pyroctl run`: be the manager, in the foreground."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("run")
def command(app: App) -> Result:
    """Run the manager in the foreground.

    Starts the enabled services. It never forks. SIGTERM or Ctrl-C stops
    everything in order; a second one kills what is left.
    """
    from pyroctl.manager.main import run

    loaded = app.load()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if app.output.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    run(loaded.deployment, app.paths, autostart=True)
    return Result({"config": app.config})
