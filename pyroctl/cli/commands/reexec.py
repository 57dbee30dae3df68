"""`pyroctl reexec`: replace only the manager's program."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.errors import ManagerNotRunning, NoAnswer

if TYPE_CHECKING:
    from pyroctl.cli.app import App

READY_TIMEOUT = 30.0
"""Seconds until the new program must accept commands."""
POLL_INTERVAL = 0.05


@cli.command("reexec")
def command(app: App) -> Result:
    """Replace the running manager with the installed version.

    Use this after an upgrade of pyroctl; services are not interrupted. The new program must first
    show that it can start with the current configuration. If it cannot, or if the configuration
    has changed since it was loaded, the command reports the reason and the old program continues.
    """
    nonce = os.urandom(8).hex()
    began = time.monotonic()
    data = app.call("reexec", nonce=nonce)["data"]
    while not _has_taken_over(app, nonce):
        if time.monotonic() > began + READY_TIMEOUT:
            raise NoAnswer("the new manager does not answer", hint=f"see {app.paths.manager_log}")
        time.sleep(POLL_INTERVAL)  # the old program still had the request
    app.output.progress(f"the manager (pid {data['pid']}) now runs pyroctl {data['version']}")
    return Result({**data, "seconds": round(time.monotonic() - began, 3)})


def _has_taken_over(app: App, nonce: str) -> bool:
    try:
        done: bool = app.call("reexecuted", nonce=nonce)["data"]["done"]
    except (NoAnswer, ManagerNotRunning):  # it is starting
        return False
    return done
