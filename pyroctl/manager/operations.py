"""Starting, stopping and restarting services, in the order that their needs dictate."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.core.lifecycle import SETTLED, Start, State, Stop, is_usable
from pyroctl.errors import PyroctlError, ServiceFailed
from pyroctl.manager import restarts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.core.spec import OnRestart
    from pyroctl.manager.supervisor import Supervisor
    from pyroctl.manager.unit import Unit

    Progress = Callable[[Unit], None]


async def start(
    supervisor: Supervisor, names: Sequence[str], progress: Progress
) -> list[ServiceFailed]:
    """Start services and what they need; wait until they are ready.

    If one fails, what this call has started is stopped again, and the failures are returned.
    """
    begun: list[Unit] = []
    for wave in plan.start_waves(names, supervisor.needs()):
        if supervisor.closing:
            raise PyroctlError("the manager is shutting down")
        units = supervisor.choose(wave)
        begun += [unit for unit in units if unit.state not in {State.RUNNING, State.STARTING}]
        found = await asyncio.gather(*(_bring_up(unit, progress) for unit in units))
        failures = [failure for failure in found if failure is not None]
        if failures:
            await _take_back(begun)
            return failures
    return []


async def stop(supervisor: Supervisor, names: Sequence[str], progress: Progress) -> None:
    """Stop services; whoever depends on them goes first."""
    for wave in plan.stop_waves(names, supervisor.needs()):
        await asyncio.gather(*(_take_down(unit, progress) for unit in supervisor.choose(wave)))


async def restart(
    supervisor: Supervisor,
    names: Sequence[str],
    progress: Progress,
    wanted: OnRestart | None = None,
) -> tuple[list[dict[str, object]], list[ServiceFailed]]:
    """Give each service a fresh process, one after the other; what it needs is started, too.

    `wanted` is how, for event services, instead of what is configured. Ends at the first failure.
    Gives what was restarted, and the failures.
    """
    done: list[dict[str, object]] = []
    for unit in supervisor.choose(names):
        missing = [n for n in unit.spec.needs if not is_usable(supervisor.units[n].life)]
        failures = await start(supervisor, missing, progress)
        if failures:
            return done, failures
        began = time.monotonic()
        facts: dict[str, object] = {}
        try:
            match restarts.way(unit, wanted):
                case "handover":
                    facts = await restarts.hand_over(unit, progress)
                case "notify":
                    facts = await restarts.notify(supervisor, unit, progress)
                case None:
                    await restarts.fresh_process(supervisor, unit, progress)
        except ServiceFailed as failure:
            return done, [failure]
        seconds = round(time.monotonic() - began, 3)
        done.append({"service": unit.name, **facts, "seconds": seconds})
    return done, []


async def _bring_up(unit: Unit, progress: Progress) -> ServiceFailed | None:
    unit.send(Start())
    try:
        await restarts.await_ready(unit, progress)
    except ServiceFailed as failure:
        return failure
    return None


async def _take_down(unit: Unit, progress: Progress) -> None:
    was_settled = unit.state in SETTLED
    unit.send(Stop())
    await unit.wait_until(lambda life: life.state in SETTLED)
    if not was_settled:
        progress(unit)


async def _take_back(begun: Sequence[Unit]) -> None:
    """Stop what a start that failed has begun, last first."""
    for unit in reversed(begun):
        unit.send(Stop())
        await unit.wait_until(lambda life: life.state in SETTLED)
