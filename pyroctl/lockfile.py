"""The content of a deployment's lock file: the manager that has the lock, or had it last."""

from __future__ import annotations

import fcntl
import os
from typing import NamedTuple

LONGEST = 8192
FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


class LockOwner(NamedTuple):
    """A manager that has locked a deployment, or had when it ended without shutting down."""

    pid: int
    """0 if it is unknown."""
    boot: str = ""
    run: str = ""
    """Its runtime directory, which depends on its environment; empty if it is unknown."""


def write_owner(fd: int, run: str) -> None:
    """Write into the lock file that this process has the lock, and uses that runtime directory.

    The inode shows whether the file is a copy, which says nothing about the place it is in.
    """
    os.ftruncate(fd, 0)
    inode = os.fstat(fd).st_ino
    os.pwrite(fd, os.fsencode(f"{os.getpid()} {boot_id()} {inode} {run}\n"), 0)


def read_owner(fd: int) -> LockOwner | None:
    """Return who has the lock, or had it before; None if that manager ended in order."""
    words = os.fsdecode(os.pread(fd, LONGEST, 0)).rstrip("\n").split(" ", 3)
    if not words[0].isdecimal():
        return None
    boot, inode, run = (*words[1:], "", "", "")[:3]
    return LockOwner(int(words[0]), boot, run if inode == str(os.fstat(fd).st_ino) else "")


def lock_holder(path: str) -> LockOwner | None:
    """Return the manager that has the lock, or None if there is none; raise PermissionError."""
    try:
        fd = os.open(path, os.O_RDONLY | FLAGS)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_owner(fd) or LockOwner(0)
    finally:
        os.close(fd)
    return None


def boot_id() -> str:
    """Return an id that changes with each boot (random(4))."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""
