"""What all units of a deployment share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.core.state import State
    from pyroctl.kinds import LaunchContext
    from pyroctl.manager.cleanup.cleanup_client import CleanupClient
    from pyroctl.manager.cleanup.detached import DetachedProcesses
    from pyroctl.manager.deployment.processes import Names
    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.fdstore.client import FdStoreClient
    from pyroctl.paths import Paths


@dataclass(frozen=True, slots=True)
class UnitParts:
    """What all units of a deployment share."""

    paths: Paths
    launch_context: Callable[[ServiceSpec], LaunchContext]
    """Called at each start."""
    missing_need: Callable[[ServiceSpec], str | None]
    """Returns the name of a need that is not ready; until there is none, no process starts."""
    on_change: Callable[[Unit, State], None]
    """Called after each change of state, with the old one."""
    cleanup: CleanupClient
    detached: DetachedProcesses
    names: Names
    fdstore: FdStoreClient | None = None
