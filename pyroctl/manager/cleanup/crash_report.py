"""What becomes known, at the next start, of a manager that ended without shutting down.

A manager leaves its mark, pid and boot, in the lock's file and removes it when it ends in order;
its guard adds when it died. So the next one can say what happened, and look for what is left.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyroctl.manager.cleanup import cleanup_process, orphan_scan

if TYPE_CHECKING:
    from collections.abc import Container

    from pyroctl.paths import Paths

MARK_LENGTH = 128
GRACE = 3.0
"""Seconds that what is left has to end."""


@dataclass(frozen=True, slots=True)
class LockOwner:
    """Which manager had the lock."""

    pid: int
    boot: str


@dataclass(slots=True)
class CrashReport:
    """What became of the last manager."""

    pid: int
    rebooted: bool
    """The machine was restarted since."""
    when: datetime | None = None
    """When its guard found it dead."""
    services: int | None = None
    """How many services its guard has ended then; None if there was no guard, either."""
    ended: int = 0
    """How many processes were still there now, and were ended."""
    taken_over: int | None = None
    """How many services went on without a manager and have one again; None if none was to."""

    def describe(self) -> str:
        """Say it in a sentence."""
        if self.rebooted:
            return f"the machine was restarted while a manager (pid {self.pid}) was running here"
        moment = f" at {self.when.isoformat(' ', 'seconds')}" if self.when is not None else ""
        facts = [f"the last manager (pid {self.pid}) ended without shutting down{moment}"]
        if self.services is not None:
            facts.append(f"{_count(self.services, 'service', 'services')} ended with it")
        if self.taken_over is not None:
            facts.append(f"{_count(self.taken_over, 'service', 'services')} taken over")
        if self.ended:
            facts.append(
                f"{_count(self.ended, 'process left by it', 'processes left by it')} ended now"
            )
        return "; ".join(facts)


def _count(number: int, one: str, many: str) -> str:
    return f"1 {one} was" if number == 1 else f"{number} {many} were"


def write_owner(fd: int) -> None:
    """Write into the lock's file that this process has it."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()} {boot_id()}\n".encode(), 0)


def read_owner(fd: int) -> LockOwner | None:
    """Read who had the lock before, None if it went in order."""
    words = os.pread(fd, MARK_LENGTH, 0).decode(errors="replace").split()
    if not words or not words[0].isdecimal():
        return None
    return LockOwner(int(words[0]), words[1] if len(words) > 1 else "")


def examine(
    last: LockOwner, paths: Paths, keeper: int = 0, but: Container[str] = ()
) -> CrashReport:
    """Find out what became of it, and end what is left of it but the keeper and some services."""
    if last.boot and last.boot != boot_id():
        return CrashReport(last.pid, rebooted=True)
    when, services = _guards_note(paths)
    ended = end_all(paths, keeper, but)
    return CrashReport(last.pid, rebooted=False, when=when, services=services, ended=ended)


def end_all(paths: Paths, keeper: int = 0, but: Container[str] = (), grace: float = GRACE) -> int:
    """End what no manager knows, and give how many processes that were.

    They have `grace` seconds before they are killed.
    """
    left = {pid: sid for pid, sid in orphan_scan.find(paths.run, but).items() if pid != keeper}
    if left:
        cleanup_process.clear_up(dict.fromkeys(left.values(), grace))
    return len(left)


def _guards_note(paths: Paths) -> tuple[datetime | None, int | None]:
    """Take what the guard has noted; the note is used once."""
    try:
        with open(paths.cleanup_lock, "r+") as file:
            moment, count = file.read(MARK_LENGTH).split()
            file.truncate(0)
            return datetime.fromtimestamp(float(moment), UTC).astimezone(), int(count)
    except (OSError, ValueError, OverflowError):
        return None, None


def boot_id() -> str:
    """Give what is different after each start of the machine (random(4))."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""
