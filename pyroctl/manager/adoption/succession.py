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
from pyroctl.manager.adoption import takeover
from pyroctl.manager.adoption.keeping import Inheritance, Keeping, Unusable
from pyroctl.manager.orphans import aftermath, guard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.control.paths import Paths
    from pyroctl.core.record import UnitRecord
    from pyroctl.core.spec import Deployment
    from pyroctl.manager.adoption.reexec import Handoff
    from pyroctl.manager.orphans.aftermath import Mark

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

    Blocks for some seconds if that doesn't want to end. Raises PyroctlError.
    """
    keeping, inheritance = None, Inheritance()
    if deployment.orphans == "adopt":
        keeping, inheritance = _inherit(paths)
    records = takeover.read(inheritance.records)
    known = {name: record for name, record in records.items() if name in deployment.services}
    news = ""
    if last is not None:
        alive = [name for name, record in known.items() if _lives(record)]
        found = aftermath.examine(last, paths, inheritance.keeper, alive)
        found.taken_over = len(alive) if known else None
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
    """Begin where another program in this process has ended, see `adoption.reexec`."""
    keeping, inheritance = None, Inheritance(records=handoff.records, fds=handoff.fds)
    if deployment.orphans == "adopt":
        keeping, inheritance = _inherit(paths)
    known = takeover.read(inheritance.records)
    return Beginning(keeping, known, inheritance, handoff)


def _inherit(paths: Paths) -> tuple[Keeping, Inheritance]:
    keeping = Keeping(paths)
    try:
        try:
            return keeping, keeping.start()
        except Unusable as trouble:
            log.warning("the keeper is of no use (%s): all services start anew", trouble)
            aftermath.end_all(paths)
            return keeping, keeping.start()
    except (OSError, Unusable) as error:
        raise PyroctlError(
            f"the process that keeps services alive doesn't start: {error}",
            hint='without orphans = "adopt" it isn\'t needed',
        ) from None


def _lives(record: UnitRecord) -> bool:
    """Tell whether the service has gone on without a manager."""
    with contextlib.suppress(OSError):
        return any(takeover.is_meant(run) and guard.is_alive(run.pid) for run in record.runs)
    return False
