"""What the kernel reports about processes: proc(5).

`cleanup_process.py` and `shim.py` don't use this module: as plain scripts (`python -I -S`) they
have to stay self-contained.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
STATE, PARENT, UTIME, STIME, START_TIME, RSS = 0, 1, 11, 12, 19, 21
"""Indexes into what `stat` returns."""


def pids() -> Iterator[int]:
    """Return the pids of all processes."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def stat(pid: int) -> list[bytes] | None:
    """Return the fields of /proc/PID/stat from the state on; None without such a process.

    The command's name before them may contain anything.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_alive(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    fields = stat(pid)
    return fields is not None and fields[STATE] not in {b"Z", b"X"}


def ignores(pid: int, number: int) -> bool:
    """Return whether the process ignores a signal; False without such a process."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            masks = [line.split()[1] for line in file if line.startswith(b"SigIgn:")]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(masks) and bool(int(masks[0], 16) >> (number - 1) & 1)


def start_time(pid: int) -> int | None:
    """Return when the kernel started the process, in ticks since boot; None if there is none.

    It distinguishes a process from a later one with the same pid.
    """
    fields = stat(pid)
    return None if fields is None else int(fields[START_TIME])


def age(started: int) -> float:
    """Return how many seconds ago the kernel started a process, from its `start_time`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / TICKS


def is_same(pid: int, started: int) -> bool:
    """Return False if the pid belongs to a process that did not start at `started`."""
    return start_time(pid) in {None, started}


def usage(pid: int) -> tuple[float, int] | None:
    """Return seconds of processor time and bytes of memory; None without such a process."""
    fields = stat(pid)
    if fields is None:
        return None
    return (int(fields[UTIME]) + int(fields[STIME])) / TICKS, int(fields[RSS]) * PAGE


def environ(pid: int) -> list[bytes]:
    """Return the NAME=VALUE entries of the environment; raise OSError if it can't be read."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read().split(b"\0")


def command_name(pid: int) -> str:
    """Return the name of the program; raise OSError if it can't be read."""
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()


def children() -> list[int]:
    """Return our children, also dead ones; none if the kernel lacks CONFIG_PROC_CHILDREN.

    Orphans become children of our main thread.
    """
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return []
