"""What a manager starts from: nothing, or what the previous one has left."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyroctl.core.record import from_json
from pyroctl.errors import PyroctlError
from pyroctl.manager import lock
from pyroctl.manager.cleanup import crash_report
from pyroctl.manager.fdstore.client import FdStoreClient, StoredState, UnusableStore
from pyroctl.manager.process import procfs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.core.record import UnitRecord
    from pyroctl.core.spec import Deployment
    from pyroctl.lockfile import LockOwner
    from pyroctl.manager.reexec import ReexecState
    from pyroctl.paths import Paths

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartupState:
    """What a manager starts from."""

    fdstore: FdStoreClient | None = None
    """The descriptor store, if services are to outlive the manager."""
    records: Mapping[str, UnitRecord] = field(default_factory=dict)
    """The services to reattach."""
    stored: StoredState = field(default_factory=StoredState)
    reexec: ReexecState | None = None
    """What the previous program in this process has left, after a reexec."""
    news: str = ""
    """A message for users about the last manager."""


def start(deployment: Deployment, paths: Paths, last: LockOwner | None) -> StartupState:
    """Return what to start from, once the lock is taken; end what is not to be reattached.

    Blocks for some seconds if that doesn't end. Raises PyroctlError.
    """
    fdstore, stored = None, StoredState()
    if deployment.orphans == "adopt":
        fdstore, stored = _connect(paths)
    records = _read(stored.records)
    records = {name: records[name] for name in records if name in deployment.services}
    news = ""
    if last is not None:
        alive = [name for name, record in records.items() if _is_alive(record)]
        report = crash_report.examine(last, paths, stored.pid, alive)
        report.reattached = len(alive) if records else None
        if stored.since is not None:
            report.when = datetime.fromtimestamp(stored.since, UTC).astimezone()
        news = report.describe()
        log.warning("%s", news)
    lock.clear(paths, records)
    if fdstore is None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(paths.fdstore_socket)
    return StartupState(fdstore, records, stored, news=news)


def resume(deployment: Deployment, paths: Paths, reexec: ReexecState) -> StartupState:
    """Return what to start from after a reexec, see `pyroctl.manager.reexec`."""
    fdstore, stored = None, StoredState(records=reexec.records, fds=reexec.fds)
    if deployment.orphans == "adopt":
        fdstore, stored = _connect(paths)
    return StartupState(fdstore, _read(stored.records), stored, reexec)


def _connect(paths: Paths) -> tuple[FdStoreClient, StoredState]:
    fdstore = FdStoreClient(paths)
    try:
        try:
            return fdstore, fdstore.start()
        except UnusableStore as trouble:
            log.warning("the descriptor store is unusable (%s): all services restart", trouble)
            crash_report.end_all(paths)
            return fdstore, fdstore.start()
    except (OSError, UnusableStore) as error:
        raise PyroctlError(
            f"the descriptor store, which keeps services alive, doesn't start: {error}",
            hint='without orphans = "adopt" it isn\'t needed',
        ) from None


def _read(found: Mapping[str, dict[str, Any]]) -> dict[str, UnitRecord]:
    """Return the records that can be read; log the others."""
    records = {}
    for service, table in found.items():
        try:
            records[service] = from_json(table)
        except (ValueError, TypeError, LookupError) as error:
            log.warning("the record of %s can't be read: %r", service, error)
    return records


def _is_alive(record: UnitRecord) -> bool:
    """Return whether the service has outlived its manager."""
    return any(procfs.is_same(r.pid, r.started) and procfs.is_alive(r.pid) for r in record.runs)
