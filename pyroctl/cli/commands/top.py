"""`pyroctl top`: the terminal UI."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.errors import PyroctlError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.cli.app import App
    from pyroctl.tui.deployment import Deployment
    from pyroctl.tui.keys import Action


@cli.command("top")
@click.option("--view", is_flag=True, help="Forbid everything that changes something.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII characters only.")
def command(app: App, *, view: bool, ascii_only: bool) -> Result:
    """Show services, logs, events and what happened, until q.

    Keys start, stop and restart services; before clients lose something, the question says who
    loses what. ? shows all keys. The extra pyroctl[tui] is required.
    """
    terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if app.output.json or not terminal:
        raise UsageError(
            "top draws on a terminal", hint="for programs: pyroctl status --watch --json"
        )
    actions = _actions(app)
    if not app.output.wants_color(sys.stdout):
        os.environ["NO_COLOR"] = "1"  # textual's way to be told
    try:
        from pyroctl.tui.app import Top
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise PyroctlError(
            "top needs the package textual, version 8 or later", hint="pip install 'pyroctl[tui]'"
        ) from None
    top = Top(_deployment(app), actions, view_only=view, ascii_only=ascii_only)
    top.run()
    return Result(exit_code=top.return_code or 0)


def _actions(app: App) -> Sequence[Action]:
    """Return the actions with the user's keys; raises ConfigError."""
    from pyroctl.tui.keys import ACTIONS, FILE_NAME, with_users_keys

    directory = app.root
    if directory is None:
        from platformdirs import user_config_dir

        directory = user_config_dir("pyroctl")
    file = os.path.join(directory, FILE_NAME)
    try:
        with open(file, encoding="utf-8", errors="replace") as keys:
            return with_users_keys(keys.read(), file)
    except FileNotFoundError:
        return ACTIONS


def _deployment(app: App) -> Deployment:
    import socket

    from pyroctl.tui.deployment import Deployment

    return Deployment(
        app.paths, app.config, tuple(app.selection()), socket.gethostname(), bool(app.config_option)
    )
