"""What a manager finds when it begins: nothing, or what the one before it has left."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyroctl.manager import aftermath, guard, lock, takeover
from pyroctl.manager.keeping import Inheritance, Keeping, Unusable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.control.paths import Paths
    from pyroctl.core.record import UnitRecord
    from pyroctl.core.spec import Deployment
    from pyroctl.manager.aftermath import Mark
    from pyroctl.manager.reexec import Handoff

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a manager begins."""

    keeping: Keeping | None = None
    """What lets services outlive us; None if they aren't to."""
    known: Mapping[str, UnitRecord] = field(default_factory=dict)
    """Services that we go on with."""
    inheritance: Inheritance = field(default_factory=Inheritance)
    handoff: Handoff | None = None
    """What another program in this process has left, if we go on with its work."""
    news: str = ""
    """What there is to say about the last manager."""


def begin(deployment: Deployment, paths: Paths, last: Mark | None) -> Beginning:
    """Find out how to begin, after the lock was taken; ends what nobody is to go on with.

    Blocks for some seconds if that doesn't want to end. Raises OSError.
    """
    keeping, inheritance = None, Inheritance()
    if deployment.orphans == "adopt":
        keeping, inheritance = _inherit(paths)
    records = takeover.read(inheritance.records)
    known = {name: record for name, record in records.items() if name in deployment.services}
    news = ""
    if last is not None:
        spared = {inheritance.keeper, *takeover.sessions_of(known.values())}
        found = aftermath.examine(last, paths, spared)
        if known:
            found.taken_over = sum(_lives(record) for record in known.values())
        if inheritance.since is not None:
            found.when = datetime.fromtimestamp(inheritance.since, UTC).astimezone()
        news = found.describe()
        log.warning("%s", news)
    lock.clear(paths, known)
    if keeping is None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(paths.keeper)
    return Beginning(keeping, known, inheritance, news=news)


def go_on(deployment: Deployment, paths: Paths, handoff: Handoff) -> Beginning:
    """Begin where another program in this process has ended, see `pyroctl.manager.reexec`."""
    keeping, inheritance = None, Inheritance(records=handoff.records, fds=handoff.fds)
    if deployment.orphans == "adopt":
        keeping, inheritance = _inherit(paths)
    known = takeover.read(inheritance.records)
    return Beginning(keeping, known, inheritance, handoff)


def _inherit(paths: Paths) -> tuple[Keeping, Inheritance]:
    keeping = Keeping(paths)
    try:
        return keeping, keeping.start()
    except Unusable as trouble:
        log.warning("the keeper is of no use (%s): all services start anew", trouble)
        aftermath.end_all(paths)
        return keeping, keeping.start()


def _lives(record: UnitRecord) -> bool:
    """Tell whether the service has gone on without a manager."""
    with contextlib.suppress(OSError):
        return record.run in takeover.sessions_of([record]) and guard.is_alive(record.run or 0)
    return False
