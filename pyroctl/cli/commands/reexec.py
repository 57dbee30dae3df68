"""`pyroctl reexec`: replace the manager's program, and nothing else."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.errors import ManagerNotRunning, NoAnswer

if TYPE_CHECKING:
    from pyroctl.cli.app import App

PATIENCE = 30.0
"""Seconds that the new program has to take commands."""
PAUSE = 0.05


@cli.command("reexec")
def command(app: App) -> Result:
    """Replace the manager's program by the one that is installed now.

    After an upgrade of pyroctl, for instance. Services go on without noticing. The new program has
    to show first that it can start with the configuration; if it can't, or if the configuration
    has changed since it was loaded, the old one goes on, and nothing has happened.
    """
    nonce = os.urandom(8).hex()
    began = time.monotonic()
    data = app.call("reexec", nonce=nonce)["data"]
    while not _is_there(app, nonce):
        if time.monotonic() > began + PATIENCE:
            raise NoAnswer("the new manager doesn't answer", hint=f"see {app.paths.manager_log}")
        time.sleep(PAUSE)  # the old one had taken that question
    app.output.progress(f"the manager (pid {data['pid']}) runs pyroctl {data['version']} now")
    return Result({**data, "seconds": round(time.monotonic() - began, 3)})


def _is_there(app: App, nonce: str) -> bool:
    try:
        done: bool = app.call("reexecuted", nonce=nonce)["data"]["done"]
    except (NoAnswer, ManagerNotRunning):  # it is on its way
        return False
    return done
