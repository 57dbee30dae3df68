"""Waits for the end of services, for as long as that can take and no longer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyroctl.core.state import SETTLED, State, Stop
from pyroctl.errors import NotEnded

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.state import ServiceState
    from pyroctl.manager.deployment.unit import Unit

GRACE = 3.0
"""Seconds that the kernel has to end what was killed."""


async def take_down(unit: Unit, progress: Callable[[Unit], None] = lambda _: None) -> None:
    """Stop a service and nothing else, wait until it is down, and report that, if it was up.

    Raises NotEnded when it can't be ended.
    """
    was_settled = unit.state in SETTLED
    unit.send(Stop())
    await wait_until(unit, lambda life: life.state in SETTLED)
    if not was_settled:
        progress(unit)


async def wait_until(
    unit: Unit, condition: Callable[[ServiceState], bool], grace: float = GRACE
) -> ServiceState:
    """Wait as `Unit.wait_until` does, but not for processes that never end.

    Raises NotEnded when the unit doesn't leave `stopping` in the time that a stop may take.
    """
    while True:
        before = unit.life
        patience = unit.spec.stop_timeout + grace if before.state is State.STOPPING else None
        try:
            async with asyncio.timeout(patience):
                life = await unit.wait_until(_moves_on(condition, before))
        except TimeoutError:
            raise NotEnded(unit.name, unit.pids()) from None
        if condition(life):
            return life


def _moves_on(
    condition: Callable[[ServiceState], bool], before: ServiceState
) -> Callable[[ServiceState], bool]:
    return lambda life: condition(life) or life.state is not before.state
