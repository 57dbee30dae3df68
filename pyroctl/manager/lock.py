"""Makes this process the one manager of a deployment: the lock decides, nothing else."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import time
from typing import TYPE_CHECKING

from pyroctl.control.client import manager_pid
from pyroctl.errors import AlreadyRunning, NotPermitted, PyroctlError
from pyroctl.manager.cleanup import crash_report

if TYPE_CHECKING:
    from collections.abc import Container

    from pyroctl.manager.cleanup.crash_report import LockOwner
    from pyroctl.paths import Paths


GUARD_TIMEOUT = 5.0
"""Seconds; a guard kills after 3 what its dead manager has left."""
PAUSE = 0.02

log = logging.getLogger(__name__)


def make_directories(paths: Paths) -> None:
    """Create the deployment's directories, private to us; raises NotPermitted or PyroctlError."""
    try:
        for path in (paths.run, paths.notify, paths.logs):
            os.makedirs(path, mode=0o700, exist_ok=True)
            _check_ours(path)
        os.chmod(paths.run, 0o700)
    except PermissionError:
        raise _not_ours(path) from None
    except OSError as error:
        raise PyroctlError(f"cannot create {path}: {error.strerror}") from None


def _check_ours(path: str) -> None:
    if os.stat(path).st_uid != os.geteuid():
        raise _not_ours(path)


def _not_ours(path: str) -> NotPermitted:
    return NotPermitted(f"{path} belongs to somebody else", hint="choose another place with --root")


def acquire(paths: Paths) -> tuple[int, LockOwner | None]:
    """Take the deployment's lock and write our mark into it.

    Gives the descriptor to keep open and to `release`, and the mark of the last manager, if it
    didn't shut down; its guard has done its work then. Raises AlreadyRunning when another manager
    has the lock.
    """
    fd = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise AlreadyRunning(
            f"another manager (pid {manager_pid(paths)}) runs this deployment",
            hint="look at it with pyroctl status, end it with pyroctl shutdown",
        ) from None
    last = crash_report.read_owner(fd)
    crash_report.write_owner(fd)
    _outlast_guard(paths)
    return fd, last


def clear(paths: Paths, spared: Container[str]) -> None:
    """Remove what services have left in the runtime directory, all but the spared ones."""
    for name in os.listdir(paths.notify):
        if name.rstrip("~") not in spared:  # see Unit: a successor's has that at its end
            os.unlink(os.path.join(paths.notify, name))
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(paths.state()):
            if name not in spared:
                shutil.rmtree(paths.state(name), ignore_errors=True)


def release(fd: int) -> None:
    """Let the lock go after an orderly end."""
    os.ftruncate(fd, 0)
    os.close(fd)


def _outlast_guard(paths: Paths) -> None:
    """Wait until nothing of a killed manager's services is left, or we would start them twice."""
    try:
        os.close(take(paths.cleanup_lock))
    except BlockingIOError:
        log.warning("services of a manager that was killed don't end: going on")


def take(path: str) -> int:
    """Lock a file for ourselves and give its descriptor, to be inherited by whom it is for.

    Whoever has it is about to end; raises BlockingIOError if that takes too long.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + GUARD_TIMEOUT
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                raise
            time.sleep(PAUSE)
        else:
            return fd
