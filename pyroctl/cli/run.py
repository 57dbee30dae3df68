"""`pyroctl run`: be the manager, in the foreground."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("run")
@click.option(
    "--logs/--no-logs",
    "show_logs",
    default=None,
    help="Print what the services say. [default: on a terminal, and as process 1 of a container]",
)
def command(app: App, *, show_logs: bool | None) -> Result:
    """Run the manager in the foreground.

    Starts the enabled services. It never forks. SIGTERM or Ctrl-C stops
    everything in order; a second one kills what is left.
    """
    from pyroctl.manager.echo import Echo
    from pyroctl.manager.main import run
    from pyroctl.manager.systemd import SystemNotifier

    loaded = app.load()
    _log_to_stderr(verbose=bool(app.output.verbose))
    system = SystemNotifier(os.environ)
    if show_logs is None:
        show_logs = sys.stdout.isatty() or os.getpid() == 1
    echo = Echo(sys.stdout.fileno()) if show_logs and not app.output.json else None
    try:
        run(
            loaded.deployment,
            app.paths,
            autostart=True,
            system=system,
            echo=None if echo is None else echo.take,
        )
    finally:
        if echo is not None:
            echo.close()
    return Result({"config": app.config})


def _log_to_stderr(*, verbose: bool) -> None:
    from pyroctl.manager.systemd import JournalFormatter, is_journal

    handler = logging.StreamHandler(sys.stderr)
    if is_journal(sys.stderr.fileno(), os.environ):
        handler.setFormatter(JournalFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
