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
    on_health: Callable[[Unit, str | None], None] = lambda *_: None
    """Called with what is wrong with a running service, and with None when that is over."""


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


class OneTimer:
    """Calls a function once, after the time that was set last."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._handle: asyncio.TimerHandle | None = None

    @property
    def due(self) -> float | None:
        """When it calls, by the event loop's clock; None: it isn't set."""
        return None if self._handle is None else self._handle.when()

    def set(self, due: float) -> None:
        """Call at that time of the event loop's clock, and not at an earlier one."""
        self.cancel()
        self._handle = asyncio.get_running_loop().call_at(due, self._function)

    def cancel(self) -> None:
        """Don't call."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
