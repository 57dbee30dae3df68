"""The directory for what a service's next process continues with, see ServiceResources.

A service with a user of its own can't enter our directories. Its own one is a temporary directory,
and a link in ours leads there, so that the next manager finds it if this one is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile

from pyroctl.directories import OTHERS_WRITE

PREFIX = "pyroctl-{}-"


def make(path: str, uid: int, gid: int) -> str:
    """Return a new directory of that user, to which `path` links; raise OSError."""
    parent, service = os.path.split(path)
    os.makedirs(parent, mode=0o700, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # the one that it led to has been removed
    directory = tempfile.mkdtemp(prefix=PREFIX.format(service))
    os.symlink(directory, path)
    os.chown(directory, uid, gid)
    return directory


def remove(service: str, parent: int) -> None:
    """Remove a service's directory in that of the descriptor, as far as that is possible.

    A link is removed with what it leads to only if `make` has made both.
    """
    try:
        target = os.readlink(service, dir_fd=parent)
    except OSError:
        shutil.rmtree(service, ignore_errors=True, dir_fd=parent)
        return
    if os.path.basename(target).startswith(PREFIX.format(service)):
        with contextlib.suppress(OSError):
            _remove_tree(target)
        os.unlink(service, dir_fd=parent)


def _remove_tree(path: str) -> None:
    """Remove a directory unless somebody other than its owner may have moved it there."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_IMODE(os.fstat(fd).st_mode) & OTHERS_WRITE:
            return
        shutil.rmtree(".", ignore_errors=True, dir_fd=fd)  # all but itself
        os.rmdir(path)
    finally:
        os.close(fd)
