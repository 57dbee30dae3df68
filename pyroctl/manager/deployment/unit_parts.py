"""What units of a deployment are made of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.core.state import ServiceState, State
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


class StateWaiters:
    """Those that wait for a unit to enter one of some states."""

    def __init__(self) -> None:
        self._waiters: list[tuple[Container[State], asyncio.Future[ServiceState]]] = []

    async def wait(self, states: Container[State]) -> ServiceState:
        """Wait for one of these states, and return the unit's as it was then."""
        waiter: asyncio.Future[ServiceState] = asyncio.get_running_loop().create_future()
        entry = (states, waiter)
        self._waiters.append(entry)
        try:
            return await waiter
        finally:
            self._waiters.remove(entry)

    def wake(self, state: ServiceState) -> None:
        """Notify those that wait for this state."""
        for states, waiter in self._waiters:
            if state.state in states and not waiter.done():
                waiter.set_result(state)
