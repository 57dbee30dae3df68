"""Makes this process the manager of a deployment: the lock alone decides which process that is."""

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


LOCK_TIMEOUT = 5.0
"""Seconds; a cleanup process kills what its dead manager has left after 3."""
PAUSE = 0.02

log = logging.getLogger(__name__)


def make_directories(paths: Paths) -> None:
    """Create the deployment's directories, private to us; raise NotPermitted or PyroctlError."""
    try:
        for path in (paths.run, paths.notify, paths.logs):
            os.makedirs(path, mode=0o700, exist_ok=True)
            if os.stat(path).st_uid != os.geteuid():
                raise _not_ours(path)
        os.chmod(paths.run, 0o700)
    except PermissionError:
        raise _not_ours(path) from None
    except OSError as error:
        raise PyroctlError(f"cannot create {path}: {error.strerror}") from None


def _not_ours(path: str) -> NotPermitted:
    return NotPermitted(
        f"{path} belongs to another user", hint="choose another directory with --root"
    )


def acquire(paths: Paths) -> tuple[int, LockOwner | None]:
    """Lock the deployment, and write into the lock file that we are its manager.

    Return the descriptor, to be kept open and passed to `release`, and the last manager if it did
    not shut down; its cleanup process has finished then. Raise AlreadyRunning if another manager
    has the lock.
    """
    try:
        fd = lock_file(paths.lock, 0)
    except BlockingIOError:
        raise AlreadyRunning(
            f"another manager (pid {manager_pid(paths)}) runs this deployment",
            hint="pyroctl status shows it, pyroctl shutdown ends it",
        ) from None
    last = crash_report.read_owner(fd)
    crash_report.write_owner(fd)
    _await_cleanup(paths)
    return fd, last


def clear(paths: Paths, spared: Container[str]) -> None:
    """Remove what services have left in the runtime directory, except the spared ones."""
    for name in os.listdir(paths.notify):
        if name.rstrip("~") not in spared:  # see Unit: a successor's socket may end with it
            os.unlink(os.path.join(paths.notify, name))
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(paths.state()):
            if name not in spared:
                shutil.rmtree(paths.state(name), ignore_errors=True)


def release(fd: int) -> None:
    """Release the lock after an orderly end."""
    os.ftruncate(fd, 0)
    os.close(fd)


def _await_cleanup(paths: Paths) -> None:
    """Wait for the services of a killed manager to end, or they would run twice."""
    try:
        os.close(lock_file(paths.cleanup_lock))
    except BlockingIOError:
        log.warning("services left by a killed manager are still running; continuing")


def lock_file(path: str, timeout: float = LOCK_TIMEOUT) -> int:
    """Lock a file, and return its descriptor; another process that inherits it has the lock, too.

    Waits for the process that has the lock to end; raises BlockingIOError if that takes too long.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                raise
            time.sleep(PAUSE)
        else:
            return fd
