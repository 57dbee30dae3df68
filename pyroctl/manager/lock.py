"""Makes this process the manager of a deployment: the lock alone decides which process that is."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import time
from typing import TYPE_CHECKING

from pyroctl import lockfile
from pyroctl.directories import check, make_private, make_unshared, opened
from pyroctl.errors import AlreadyRunning, PyroctlError
from pyroctl.manager import state_directory
from pyroctl.paths import short_home

if TYPE_CHECKING:
    from collections.abc import Container

    from pyroctl.lockfile import LockOwner
    from pyroctl.paths import Paths


LOCK_TIMEOUT = 5.0
"""Seconds; a cleanup process kills what its dead manager has left after 3."""
CLIENT_TIMEOUT = 0.2
"""Seconds; a command has the lock for a moment when it looks whether there is a manager."""
PAUSE = 0.02

log = logging.getLogger(__name__)


def make_directories(paths: Paths) -> None:
    """Create the deployment's directories; raise NotPermitted or PyroctlError."""
    check((paths.state, paths.service_state(), paths.notify, paths.logs))  # before any change
    make_private_directories(paths)
    make_unshared(paths.logs, follow=True)  # people keep logs on another disk


def make_private_directories(paths: Paths) -> None:
    """Create all but that of the logs, which may have another mode; raise like the above."""
    make_unshared(paths.state)  # first: the lock in it says where the runtime directory is
    short = [short_home()] if os.path.dirname(paths.run) == short_home() else []
    for path in (paths.service_state(), *short, paths.run, paths.notify):
        make_private(path)


def acquire(paths: Paths) -> tuple[int, LockOwner | None]:
    """Lock the deployment, and write into the lock file that we are its manager.

    Return the descriptor, to be kept open and passed to `release`, and the last manager if it did
    not shut down; its cleanup process has finished then. Raise AlreadyRunning if another manager
    has the lock, PyroctlError if the file can't be locked.
    """
    try:
        fd = lock_file(paths.lock, CLIENT_TIMEOUT)
        try:
            last = _take_former_lock(paths) or lockfile.read_owner(fd)
            _write_owner(fd, paths)
            _await_cleanup(paths)
        except BaseException:
            os.close(fd)
            raise
    except BlockingIOError:
        raise _already_running(paths) from None
    except OSError as error:
        raise PyroctlError(f"cannot lock {error.filename}: {error.strerror}") from None
    return fd, last


def _take_former_lock(paths: Paths) -> LockOwner | None:
    """Remove the lock file of a manager of an earlier version, and return its content.

    Raises BlockingIOError if that manager is running: it doesn't know our lock, so we respect its.
    """
    if not os.path.exists(paths.former(paths.lock)):
        return None
    fd = lock_file(paths.former(paths.lock), CLIENT_TIMEOUT)
    try:
        os.unlink(paths.former(paths.lock))
        return lockfile.read_owner(fd)
    finally:
        os.close(fd)


def _already_running(paths: Paths) -> AlreadyRunning:
    holder = lockfile.lock_holder(paths.lock) or lockfile.lock_holder(paths.former(paths.lock))
    pid, boot, _ = holder or lockfile.LockOwner(0)
    where = "" if boot in {"", lockfile.boot_id()} else " on another machine"
    return AlreadyRunning(
        f"another manager (pid {pid or 'unknown'}{where}) runs this deployment",
        hint="on this machine, choose another directory with --root"
        if where
        else "pyroctl status shows it, pyroctl shutdown ends it",
    )


def renew(fd: int, paths: Paths) -> None:
    """Lock the file again if it was removed, or if an earlier version has locked another.

    The descriptor keeps its number. Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(fd), os.lstat(paths.lock)):
            return
    fresh = lock_file(paths.lock, CLIENT_TIMEOUT)
    _write_owner(fresh, paths)
    os.dup2(fresh, fd, inheritable=False)
    os.close(fresh)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(paths.former(paths.lock))


def _write_owner(fd: int, paths: Paths) -> None:
    try:
        lockfile.write_owner(fd, paths.run)
    except OSError as error:  # a full disk: the lock works all the same
        log.warning("%s can't be written: %s", paths.lock, error.strerror)


def clear(paths: Paths, spared: Container[str]) -> None:
    """Remove what services have left in the runtime directory, except the spared ones."""
    with opened(paths.notify) as directory:
        for name in os.listdir(directory):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            # See Unit: a successor's socket may end with "~".
            if stat.S_ISSOCK(status.st_mode) and name.rstrip("~") not in spared:
                os.unlink(name, dir_fd=directory)
    with contextlib.suppress(FileNotFoundError), opened(paths.service_state()) as directory:
        for name in os.listdir(directory):
            if name not in spared:
                state_directory.remove(name, directory)


def release(fd: int) -> None:
    """Release the lock after an orderly end."""
    with contextlib.suppress(OSError):  # the disk has become read-only
        os.ftruncate(fd, 0)
    os.close(fd)


def _await_cleanup(paths: Paths) -> None:
    """Wait for the services of a killed manager to end, or they would run twice."""
    former = paths.former(paths.cleanup_lock)
    try:
        for path in (paths.cleanup_lock, *([former] if os.path.exists(former) else [])):
            os.close(lock_file(path))
    except BlockingIOError:
        log.warning("services left by a killed manager are still running; continuing")


def lock_file(path: str, timeout: float = LOCK_TIMEOUT) -> int:
    """Lock a file, and return its descriptor; another process that inherits it has the lock, too.

    Waits for the process that has the lock to end; raises BlockingIOError if that takes too long.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | lockfile.FLAGS, 0o600)
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
