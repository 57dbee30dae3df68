"""Creates directories that belong to us alone."""

from __future__ import annotations

import os
import stat

from pyroctl.errors import NotPermitted, PyroctlError

PRIVATE = 0o700
OTHERS_WRITE = 0o022


def make_private(path: str) -> None:
    """Create the directory if it is missing, and ensure that nobody else may enter it.

    Raises NotPermitted if it belongs to another user, PyroctlError if it is a symbolic link or
    can't be created.
    """
    _make(path, PRIVATE, os.O_NOFOLLOW)


def make_unshared(path: str, *, follow: bool = False) -> None:
    """Do the same, but ensure only that nobody else may write there; `follow` permits a link."""
    _make(path, ~OTHERS_WRITE, 0 if follow else os.O_NOFOLLOW)


def make_again(path: str, permissions: int) -> None:
    """Create a directory that was removed, with the permissions that it had; raise OSError.

    If another process was faster, it stays as it is.
    """
    os.makedirs(os.path.dirname(path), mode=PRIVATE, exist_ok=True)
    try:
        os.mkdir(path, mode=PRIVATE)
    except FileExistsError:
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(fd, permissions)
    finally:
        os.close(fd)


def mode(path: str) -> int:
    """Return the permissions of a directory, those of a private one if it is missing."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return PRIVATE


def identity(path: str) -> tuple[int, int] | None:
    """Return what distinguishes the file from a later one of the same name; None without one."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _make(path: str, allowed: int, flags: int) -> None:
    try:
        os.makedirs(path, mode=PRIVATE, exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | flags)
        try:
            status = os.fstat(fd)
            if status.st_uid != os.geteuid():
                raise _not_ours(path)
            found = stat.S_IMODE(status.st_mode)
            if found & ~allowed:
                os.fchmod(fd, found & allowed)
        finally:
            os.close(fd)
    except PermissionError:
        raise _not_ours(path) from None
    except OSError as error:
        why = "it is a symbolic link" if flags and os.path.islink(path) else error.strerror
        raise PyroctlError(f"cannot create {path}: {why}") from None


def _not_ours(path: str) -> NotPermitted:
    return NotPermitted(
        f"{path} belongs to another user", hint="choose another directory with --root"
    )
