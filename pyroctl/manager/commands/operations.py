"""Starting, stopping and restarting services, in the order that their needs dictate."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from pyroctl.core import plan
from pyroctl.core.state import Start, State, is_usable
from pyroctl.errors import NotEnded, PyroctlError, ServiceFailed
from pyroctl.manager.commands import restarts
from pyroctl.manager.deployment.stopping import take_down

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyroctl.core.spec import OnRestart
    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.process.service_process import ServiceProcess

    Progress = Callable[[Unit], None]


async def start(
    supervisor: Supervisor,
    names: Sequence[str],
    progress: Progress,
    unwanted: asyncio.Future[str] | None = None,
) -> list[ServiceFailed]:
    """Start services and what they need; wait until they are ready.

    If one fails, what this call has started is stopped again, and the failures are returned. So it
    is when `unwanted` gets the name of a service: somebody wants that one to be stopped.
    """
    unwanted = unwanted or asyncio.get_running_loop().create_future()
    begun: list[Unit] = []
    for wave in plan.start_waves(names, supervisor.needs()):
        if supervisor.closing:
            raise PyroctlError("the manager is shutting down")
        units = supervisor.choose(wave)
        begun += [unit for unit in units if unit.state not in {State.RUNNING, State.STARTING}]
        failures = await _bring_all_up(units, progress, unwanted)
        if failures:
            return failures + await _take_back(begun)
    return []


async def stop(
    supervisor: Supervisor, names: Sequence[str], progress: Progress
) -> list[ServiceFailed]:
    """Stop services; whoever depends on them goes first. Gives those that can't be ended."""
    for wave in plan.stop_waves(names, supervisor.needs()):
        units = supervisor.choose(wave)
        found = await asyncio.gather(*(_try_to_end(unit, progress) for unit in units))
        failures = [failure for failure in found if failure is not None]
        if failures:
            return failures
    return []


async def restart(
    supervisor: Supervisor,
    names: Sequence[str],
    progress: Progress,
    wanted: OnRestart | None = None,
    before: Mapping[str, ServiceProcess | None] | None = None,
) -> tuple[list[dict[str, object]], list[ServiceFailed]]:
    """Give each service a fresh process, in the order of their needs, each ready before the next.

    What it needs is started, too, and what follows it is waited for. `wanted` is how, for event
    services, instead of what is configured; `before` the processes that are to be replaced, by
    default those that are there. Ends at the first failure. Gives what was restarted, and the
    failures.
    """
    done: list[dict[str, object]] = []
    before = before or processes(supervisor)
    for unit in supervisor.choose(_in_order(supervisor, names)):
        missing = [n for n in unit.spec.needs if not is_usable(supervisor.units[n].life)]
        failures = await start(supervisor, missing, progress)
        if failures:
            return done, failures
        began = time.monotonic()
        facts: dict[str, object] = {}
        fresh = unit.run not in {None, before.get(unit.name)}  # it has followed one before it
        try:
            match "fresh" if fresh else restarts.way(unit, wanted):
                case "fresh":
                    await restarts.await_ready(unit, lambda _: None)  # it was reported then
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
        failures = await _await_followers(supervisor, unit, progress)
        if failures:
            return done, failures
    return done, []


def processes(supervisor: Supervisor) -> dict[str, ServiceProcess | None]:
    """Give the process of each service as it is now."""
    return {unit.name: unit.run for unit in supervisor.units.values()}


def _in_order(supervisor: Supervisor, names: Sequence[str]) -> list[str]:
    waves = plan.start_waves(names, supervisor.needs())
    return [name for wave in waves for name in wave if name in names]


async def _await_followers(
    supervisor: Supervisor, unit: Unit, progress: Progress
) -> list[ServiceFailed]:
    """Wait for those that restart because this one has, and for those that follow them in turn."""
    failures: list[ServiceFailed] = []
    for name in plan.reverse(supervisor.needs())[unit.name]:
        follower = supervisor.units[name]
        if follower.spec.on_needs == "restart" and follower.state in restarts.IN_BETWEEN:
            try:
                await restarts.await_ready(follower, progress)
            except ServiceFailed as failure:
                failures.append(failure)
            else:
                failures += await _await_followers(supervisor, follower, progress)
    return failures


async def _bring_all_up(
    units: Sequence[Unit], progress: Progress, unwanted: asyncio.Future[str]
) -> list[ServiceFailed]:
    starting = asyncio.gather(*(_bring_up(unit, progress) for unit in units))
    either: set[asyncio.Future[Any]] = {starting, unwanted}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        return [failure for failure in starting.result() if failure is not None]
    starting.cancel()
    name = unwanted.result()
    return [ServiceFailed(f"the start was given up: another command stops {name}", service=name)]


async def _bring_up(unit: Unit, progress: Progress) -> ServiceFailed | None:
    unit.send(Start())
    try:
        await restarts.await_ready(unit, progress)
    except ServiceFailed as failure:
        return failure
    return None


async def _try_to_end(unit: Unit, progress: Progress) -> ServiceFailed | None:
    try:
        await take_down(unit, progress)
    except NotEnded as failure:
        return failure
    return None


async def _take_back(begun: Sequence[Unit]) -> list[ServiceFailed]:
    """Stop what a start that failed has begun, last first; give what can't be ended."""
    found = [await _try_to_end(unit, lambda _: None) for unit in reversed(begun)]
    return [failure for failure in found if failure is not None]
