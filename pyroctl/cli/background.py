"""A manager in the background, which survives the terminal."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from pyroctl.control.client import connect, manager_pid, services_await_manager
from pyroctl.errors import AlreadyRunning, ManagerNotRunning, NoAnswer, PyroctlError, Reported
from pyroctl.manager.lock import make_directories

if TYPE_CHECKING:
    from pyroctl.cli.app import App

STARTUP_TIMEOUT = 15.0
"""Seconds until the manager's process must report that it accepts commands."""
END_TIMEOUT = 60.0
"""Seconds to wait for a manager that is shutting down."""
RIVAL_TIMEOUT = 10.0
"""Seconds to wait for a manager that another command is starting."""
UNMENTIONED = 0.2
"""Seconds of waiting that nobody is told of; a killed manager needs less to end."""


def ensure_manager(app: App) -> bool:
    """Start a manager unless one is running, and return whether this call started it.

    Raises ConfigError, NotPermitted, NoAnswer and whatever else the new manager reports.
    """
    try:
        connect(app.paths).close()
    except ManagerNotRunning:
        return _launch(app)
    return False


def await_end(app: App) -> bool:
    """Wait for the end of a manager that is shutting down; return whether it has ended."""
    from pyroctl.manager.process.pidfd import has_ended

    pid = manager_pid(app.paths)
    if not pid:
        return pid is None
    if has_ended(pid, UNMENTIONED):
        return True
    app.output.progress(f"the manager (pid {pid}) is shutting down; another one follows")
    return has_ended(pid, END_TIMEOUT)


def reattach_orphans(app: App) -> None:
    """Start a manager if there are services without one; raises like `ensure_manager`.

    Only a manager can stop them.
    """
    if services_await_manager(app.paths):
        ensure_manager(app)


def _launch(app: App) -> bool:
    make_directories(app.paths)
    report_end, manager_end = os.pipe()
    with open(report_end, "rb") as pipe, open(app.paths.manager_log, "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pyroctl.manager", *_arguments(app, manager_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(manager_end,),
        )
        os.close(manager_end)
        report = _read_report(pipe.fileno(), app)
    if not report["errors"]:
        process.returncode = 0  # it outlives this command, so don't warn about it
        if app.paths.run_is_elsewhere:
            app.output.progress(f"sockets are in {app.paths.run}: the path of --root is too long")
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
    """Read what the new manager reports about its start."""
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
            "the new manager exited before it was ready", hint=f"see {app.paths.manager_log}"
        )
    report: dict[str, Any] = json.loads(data)
    return report


def _wait_for_rival(app: App) -> bool:
    deadline = time.monotonic() + RIVAL_TIMEOUT
    while True:
        try:
            connect(app.paths).close()
        except ManagerNotRunning:
            return _launch(app)  # it has ended again: its command was interrupted
        except NoAnswer:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # it holds the lock and will listen soon; no event announces that
        else:
            return False
