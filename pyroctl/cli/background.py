"""Starts a manager in the background, so that it survives the terminal."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from pyroctl.control.client import connect, goes_on_without_manager
from pyroctl.errors import AlreadyRunning, ManagerNotRunning, NoAnswer, PyroctlError, Reported
from pyroctl.manager.lock import make_directories

if TYPE_CHECKING:
    from pyroctl.cli.app import App

STARTUP_TIMEOUT = 15.0
"""Seconds that the manager's process has to say that it takes commands."""
RIVAL_TIMEOUT = 10.0
"""Seconds to wait for a manager that another command is just starting."""


def ensure_manager(app: App) -> bool:
    """See to it that a manager runs; gives whether it was this call that started one.

    Raises what prevents it: faults of the configuration, NotPermitted, NoAnswer.
    """
    try:
        connect(app.paths).close()
    except ManagerNotRunning:
        return _launch(app)
    return False


def take_over_orphans(app: App) -> None:
    """See to it that services which go on without a manager have one; raises as `ensure_manager`.

    What ends services can't do without, and nobody else needs a manager for it.
    """
    if goes_on_without_manager(app.paths):
        ensure_manager(app)


def _launch(app: App) -> bool:
    make_directories(app.paths)
    report_end, manager_end = os.pipe()
    with open(app.paths.manager_log, "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pyroctl.manager", *_arguments(app, manager_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(manager_end,),
        )
    os.close(manager_end)
    with open(report_end, "rb") as pipe:
        report = _read_report(pipe.fileno(), app)
    if not report["errors"]:
        process.returncode = 0  # it lives on, and is nobody's child once we have ended
        if report.get("news"):
            app.output.progress(report["news"])
        return True
    process.wait()
    if report["errors"][0]["code"] == AlreadyRunning.code:
        return _wait_for_rival(app)
    raise Reported(report["errors"], report["exit_code"])


def _arguments(app: App, ready_fd: int) -> list[str]:
    arguments = ["--ready-fd", str(ready_fd)]
    if app.config is not None:
        arguments += ["--config", app.config]
    if app.root is not None:
        arguments += ["--root", os.path.abspath(app.root)]
    return arguments


def _read_report(fd: int, app: App) -> dict[str, Any]:
    """Read what the new manager says of its start."""
    deadline = time.monotonic() + STARTUP_TIMEOUT
    data = b""
    while select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(fd, 65536)
        if not chunk:
            break
        data += chunk
    else:
        raise NoAnswer(
            f"the new manager was not ready within {STARTUP_TIMEOUT:g} s",
            hint=f"see {app.paths.manager_log}",
        )
    if not data:
        raise PyroctlError(
            "the manager ended before it was ready", hint=f"see {app.paths.manager_log}"
        )
    report: dict[str, Any] = json.loads(data)
    return report


def _wait_for_rival(app: App) -> bool:
    deadline = time.monotonic() + RIVAL_TIMEOUT
    while True:
        try:
            connect(app.paths).close()
        except (ManagerNotRunning, NoAnswer):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # it holds the lock and will listen in a moment; nothing tells when
        else:
            return False
