"""Stops services, and waits no longer than a stop can take."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyroctl.core.state import SETTLED, State, Stop
from pyroctl.errors import NotEnded

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from pyroctl.core.state import ServiceState
    from pyroctl.manager.deployment.unit import Unit

GRACE = 3.0
"""Seconds that the kernel has to end killed processes."""


async def take_down(unit: Unit, progress: Callable[[Unit], None] = lambda _: None) -> None:
    """Stop a service and nothing else, wait until it is down, and report it if it was up.

    Raises NotEnded if it can't be ended.
    """
    was_settled = unit.state in SETTLED
    unit.send(Stop())
    await wait_until(unit, SETTLED)
    if not was_settled:
        progress(unit)


async def wait_until(unit: Unit, states: AbstractSet[State], grace: float = GRACE) -> ServiceState:
    """Wait as `Unit.wait_until` does, but not for processes that never end.

    Raises NotEnded if the unit stays in `stopping` for longer than a stop may take.
    """
    while True:
        before = unit.state
        timeout = unit.spec.stop_timeout + grace if before is State.STOPPING else None
        try:
            async with asyncio.timeout(timeout):
                found = await unit.wait_until(set(State) - {before} | states)
        except TimeoutError:
            raise NotEnded(unit.name, unit.processes.pids()) from None
        if found.state in states:
            return found
