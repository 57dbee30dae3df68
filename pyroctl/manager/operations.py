"""Starting, stopping and restarting services, in the order that their needs dictate."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.core.lifecycle import SETTLED, Restart, Start, State, Stop, is_usable
from pyroctl.core.spec import EventServiceOptions
from pyroctl.errors import PyroctlError, ServiceFailed
from pyroctl.manager import consequences

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.manager.supervisor import Supervisor
    from pyroctl.manager.unit import Unit

    Progress = Callable[[Unit], None]

IN_BETWEEN = frozenset({State.STARTING, State.STOPPING})


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
    supervisor: Supervisor, names: Sequence[str], progress: Progress
) -> tuple[list[dict[str, object]], list[ServiceFailed]]:
    """Give each service a fresh process, one after the other; what it needs is started, too.

    Ends at the first that doesn't become ready. Gives what was restarted, and the failures.
    """
    done: list[dict[str, object]] = []
    for unit in supervisor.choose(names):
        missing = [n for n in unit.spec.needs if not is_usable(supervisor.units[n].life)]
        failures = await start(supervisor, missing, progress)
        if failures:
            return done, failures
        before = await _subscribers_of(unit)
        began = time.monotonic()
        unit.send(Restart())
        failure = await _await_ready(unit, progress)
        if failure is not None:
            return done, [failure]
        await supervisor.settle()
        entry: dict[str, object] = {"service": unit.name}
        if before is not None:
            back = await consequences.await_return(unit, before.aware)
            entry |= {"how": "notify", "lost": before.plain, "carried": 0}
            entry |= {"notified": before.aware, "resubscribed": back}
        done.append({**entry, "seconds": round(time.monotonic() - began, 3)})
    return done, []


async def _subscribers_of(unit: Unit) -> consequences.Subscribers | None:
    if not isinstance(unit.spec.options, EventServiceOptions):
        return None
    if unit.state is not State.RUNNING:
        return consequences.Subscribers([], 0)
    return await consequences.subscribers_of(unit)


async def keep_trying(supervisor: Supervisor, names: Sequence[str], progress: Progress) -> None:
    """Start services as `start` does, but let the restart policy go on after a failure.

    A service begins as soon as all that it needs is ready; what needs a service that has been
    given up stays down.
    """

    async def bring_up(name: str) -> None:
        unit = supervisor.units[name]
        for need in unit.spec.needs:
            await supervisor.units[need].wait_until(is_usable)
        if unit.state is State.STOPPED and not supervisor.closing:
            unit.send(Start())
        await unit.wait_until(is_usable)
        progress(unit)

    wanted = plan.closure(names, supervisor.needs())
    await asyncio.gather(*(bring_up(name) for name in supervisor.units if name in wanted))


async def _bring_up(unit: Unit, progress: Progress) -> ServiceFailed | None:
    unit.send(Start())
    return await _await_ready(unit, progress)


async def _await_ready(unit: Unit, progress: Progress) -> ServiceFailed | None:
    life = await unit.wait_until(lambda life: life.state not in IN_BETWEEN)
    if is_usable(life):
        progress(unit)
        return None
    if life.state is State.STOPPED:
        return ServiceFailed(
            f"{unit.name} was stopped before it was ready",
            service=unit.name,
            hint="somebody else gave a command meanwhile",
        )
    return ServiceFailed(
        f"{unit.name} did not become ready: {life.reason}",
        service=unit.name,
        hint=f"all it said: pyroctl logs {unit.name}",
        output=unit.log.last_lines(),
    )


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
