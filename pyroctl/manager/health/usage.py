"""Looks at what the processes of a session take: proc(5), /proc/PID/stat."""

from __future__ import annotations

import os

from pyroctl.core.usage import UsageSample
from pyroctl.manager.process import sessions

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
UTIME, STIME, RSS = 11, 12, 21
"""Places of these fields after the command's name, which may contain anything."""


def look(sid: int, at: float) -> UsageSample:
    """Add up memory and processor time of a session; what ends meanwhile doesn't count."""
    rss, cpu = 0, {}
    for pid in sessions.members(sid):
        taken = of_process(pid)
        if taken is not None:
            cpu[pid] = taken[0]
            rss += taken[1]
    return UsageSample(at, rss, cpu)


def of_process(pid: int) -> tuple[float, int] | None:
    """Give seconds of processor time and bytes of memory of one process; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return (int(fields[UTIME]) + int(fields[STIME])) / TICKS, int(fields[RSS]) * PAGE
