"""`pyroctl ping`: whether the manager answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.control.client import manager_pid
from pyroctl.errors import ManagerNotRunning, NoAnswer

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("ping")
def command(app: App) -> Result:
    """Report whether the manager answers, whatever its services do.

    The exit status is 0 if it does, otherwise 4.
    """
    began = time.monotonic()
    try:
        app.call("reexecuted", nonce="")  # it concerns no service
    except ManagerNotRunning as error:
        raise NoAnswer(error.message, hint=error.hint) from None
    seconds = time.monotonic() - began
    pid = manager_pid(app.paths)
    app.output.print(f"the manager (pid {pid}) answers, in {seconds * 1000:.0f} ms")
    return Result({"pid": pid, "seconds": round(seconds, 6)})
