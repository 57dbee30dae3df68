"""What a manager finds when it begins: nothing, or what the one before it has left."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyroctl.errors import PyroctlError
from pyroctl.manager import lock
from pyroctl.manager.cleanup import cleanup_process, crash_report
from pyroctl.manager.fdstore import reattach
from pyroctl.manager.fdstore.client import FdStoreClient, StoredState, UnusableStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.core.record import UnitRecord
    from pyroctl.core.spec import Deployment
    from pyroctl.manager.cleanup.crash_report import LockOwner
    from pyroctl.manager.reexec import Handoff
    from pyroctl.paths import Paths

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartupState:
    """How a manager begins."""

    keeping: FdStoreClient | None = None
    """What lets services outlive us; None if they aren't to."""
    known: Mapping[str, UnitRecord] = field(default_factory=dict)
    """Services that we go on with."""
    inheritance: StoredState = field(default_factory=StoredState)
    handoff: Handoff | None = None
    """What another program in this process has left, if we go on with its work."""
    news: str = ""
    """What there is to say about the last manager."""


def begin(deployment: Deployment, paths: Paths, last: LockOwner | None) -> StartupState:
    """Find out how to begin, after the lock was taken; ends what nobody is to go on with.

    Blocks for some seconds if that doesn't want to end. Raises PyroctlError.
    """
    keeping, inheritance = None, StoredState()
    if deployment.orphans == "adopt":
        keeping, inheritance = _inherit(paths)
    records = reattach.read(inheritance.records)
    known = {name: record for name, record in records.items() if name in deployment.services}
    news = ""
    if last is not None:
        alive = [name for name, record in known.items() if _lives(record)]
        found = crash_report.examine(last, paths, inheritance.keeper, alive)
        found.taken_over = len(alive) if known else None
        if inheritance.since is not None:
            found.when = datetime.fromtimestamp(inheritance.since, UTC).astimezone()
        news = found.describe()
        log.warning("%s", news)
    lock.clear(paths, known)
    if keeping is None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(paths.fdstore_socket)
    return StartupState(keeping, known, inheritance, news=news)


def go_on(deployment: Deployment, paths: Paths, handoff: Handoff) -> StartupState:
    """Begin where another program in this process has ended, see `adoption.reexec`."""
    keeping, inheritance = None, StoredState(records=handoff.records, fds=handoff.fds)
    if deployment.orphans == "adopt":
        keeping, inheritance = _inherit(paths)
    known = reattach.read(inheritance.records)
    return StartupState(keeping, known, inheritance, handoff)


def _inherit(paths: Paths) -> tuple[FdStoreClient, StoredState]:
    keeping = FdStoreClient(paths)
    try:
        try:
            return keeping, keeping.start()
        except UnusableStore as trouble:
            log.warning("the keeper is of no use (%s): all services start anew", trouble)
            crash_report.end_all(paths)
            return keeping, keeping.start()
    except (OSError, UnusableStore) as error:
        raise PyroctlError(
            f"the process that keeps services alive doesn't start: {error}",
            hint='without orphans = "adopt" it isn\'t needed',
        ) from None


def _lives(record: UnitRecord) -> bool:
    """Tell whether the service has gone on without a manager."""
    with contextlib.suppress(OSError):
        return any(
            reattach.is_meant(run) and cleanup_process.is_alive(run.pid) for run in record.runs
        )
    return False
