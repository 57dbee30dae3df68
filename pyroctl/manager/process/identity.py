"""Which process a pid means, and processes that another manager has started."""

from __future__ import annotations

import os


def start_time(pid: int) -> int | None:
    """Give when the kernel has started the process, in ticks since the machine's start.

    None without such a process. Field 22 of /proc/PID/stat (proc(5)): with it, a pid that is used
    again is told apart.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


class ReattachedProcess:
    """A process that the manager before us has started; maybe that was this very process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def wait(self) -> int | None:
        """Give the return code of a process that has ended; None if it is no child of ours."""
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:
            return None
