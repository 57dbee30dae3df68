"""Creates directories that belong to us alone."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from pyroctl.accounts import describe_user
from pyroctl.errors import NotPermitted, PyroctlError
from pyroctl.trusted_path import PRIVATE, NotTrustedError, open_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OTHERS_WRITE = 0o022


def make_private(path: str) -> None:
    """Create the directory if it is missing, and ensure that nobody else may enter it.

    Raises NotPermitted if it, or a directory or link above it, belongs to another user;
    PyroctlError if it is a symbolic link or can't be created.
    """
    _make(path, PRIVATE, follow=False)


def make_unshared(path: str, *, follow: bool = False) -> None:
    """Do the same, but ensure only that nobody else may write there; `follow` permits a link."""
    _make(path, ~OTHERS_WRITE, follow=follow)


def check(paths: Iterable[str]) -> None:
    """Raise NotPermitted if another user decides where one of the directories is."""
    for path in paths:
        try:
            os.close(open_directory(path))
        except NotTrustedError as error:
            raise _not_ours(error) from None
        except OSError:
            pass  # missing; or whoever makes it will find the reason


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """Return a descriptor of a directory of ours: what is done in it can't happen anywhere else.

    Raises OSError.
    """
    fd = open_directory(path, follow=False)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            raise NotTrustedError(errno.EPERM, "belongs to another user", path)
        yield fd
    finally:
        os.close(fd)


def make_again(path: str, permissions: int) -> None:
    """Create a directory that was removed, with the permissions that it had; raise OSError.

    If another process was faster, it stays as it is.
    """
    parent = open_directory(os.path.dirname(path), create=True)
    try:
        os.mkdir(os.path.basename(path), mode=PRIVATE, dir_fd=parent)
    except FileExistsError:
        return
    finally:
        os.close(parent)
    fd = open_directory(path, follow=False)
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


def _make(path: str, allowed: int, *, follow: bool) -> None:
    try:
        fd = open_directory(path, create=True, follow=follow)
        try:
            status = os.fstat(fd)
            if status.st_uid != os.geteuid():
                owner = describe_user(status.st_uid)
                raise NotTrustedError(errno.EPERM, f"belongs to another user, {owner}", path)
            found = stat.S_IMODE(status.st_mode)
            if found & ~allowed:
                os.fchmod(fd, found & allowed)
        finally:
            os.close(fd)
    except PermissionError as error:
        raise _not_ours(error) from None
    except OSError as error:
        why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise PyroctlError(f"cannot create {path}: {why}") from None


def _not_ours(error: PermissionError) -> NotPermitted:
    colon = "" if isinstance(error, NotTrustedError) else ":"
    hint = "choose another directory with --root"
    if os.geteuid() == 0:
        hint += ", or run the command as the configuration file's owner: --as-owner"
    return NotPermitted(f"{error.filename}{colon} {error.strerror}", hint=hint)
