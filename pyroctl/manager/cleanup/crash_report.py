"""What is known, at the next start, about a manager that ended without shutting down.

A manager writes its pid and boot into the lock file, and removes them when it ends in order; its
cleanup process adds when it died. So the next one can report this, and end what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyroctl.lockfile import boot_id
from pyroctl.manager.cleanup import cleanup_process, orphan_scan

if TYPE_CHECKING:
    from collections.abc import Container

    from pyroctl.lockfile import LockOwner
    from pyroctl.paths import Paths

NOTE_LENGTH = 128
GRACE = 3.0
"""Seconds that processes which are left have to end."""


@dataclass(slots=True)
class CrashReport:
    """What happened to the last manager."""

    pid: int
    rebooted: bool
    """The machine has been restarted since."""
    when: datetime | None = None
    """When its cleanup process found it dead."""
    services: int | None = None
    """How many services its cleanup process ended; None if that was dead too."""
    ended: int = 0
    """How many processes were left, and have been ended now."""
    reattached: int | None = None
    """How many services have outlived it; None if none was meant to."""

    def describe(self) -> str:
        """Return a sentence for users."""
        if self.rebooted:
            return f"the machine was restarted while a manager (pid {self.pid}) was running here"
        moment = f" at {self.when.isoformat(' ', 'seconds')}" if self.when is not None else ""
        facts = [f"the last manager (pid {self.pid}) ended without shutting down{moment}"]
        if self.services:
            facts.append(f"{_count(self.services, 'service', 'services')} ended with it")
        if self.reattached is not None:
            facts.append(f"{_count(self.reattached, 'service', 'services')} reattached")
        if self.ended:
            facts.append(
                f"{_count(self.ended, 'process left by it', 'processes left by it')} ended now"
            )
        return "; ".join(facts)


def _count(number: int, one: str, many: str) -> str:
    return f"1 {one} was" if number == 1 else f"{number} {many} were"


def examine(
    last: LockOwner, paths: Paths, store: int = 0, spared: Container[str] = ()
) -> CrashReport:
    """Report on the last manager, and end what it left except descriptor store and some services.

    `store` is the pid of the descriptor store, `spared` are names of services.
    """
    if last.boot and last.boot != boot_id():
        return CrashReport(last.pid, rebooted=True)
    when, services = _pop_note(paths)
    runs = {paths.run, last.run or paths.run}  # it may have had another XDG_RUNTIME_DIR
    ended = sum(end_all(paths._replace(run=run), store, spared) for run in runs)
    return CrashReport(last.pid, rebooted=False, when=when, services=services, ended=ended)


def end_all(paths: Paths, store: int = 0, spared: Container[str] = (), grace: float = GRACE) -> int:
    """End the deployment's orphans, after `grace` seconds by SIGKILL; return how many there were.

    `store` and `spared` as for `examine`.
    """
    left = {pid: sid for pid, sid in orphan_scan.find(paths.run, spared).items() if pid != store}
    if left:
        cleanup_process.clean_up(dict.fromkeys(left.values(), grace))
    return len(left)


def _pop_note(paths: Paths) -> tuple[datetime | None, int | None]:
    """Return what the cleanup process has recorded, and delete it."""
    try:
        with open(paths.cleanup_lock, "r+") as file:
            moment, count = file.read(NOTE_LENGTH).split()
            file.truncate(0)
            return datetime.fromtimestamp(float(moment), UTC).astimezone(), int(count)
    except (OSError, ValueError, OverflowError):
        return None, None
