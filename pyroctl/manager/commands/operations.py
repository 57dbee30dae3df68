"""Stops and restarts services in the order of their needs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.errors import ServiceFailed
from pyroctl.manager.commands import restarts
from pyroctl.manager.commands.starting import start_all
from pyroctl.manager.deployment.scheduler import COMING_UP
from pyroctl.manager.deployment.stopping import take_down

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from pyroctl.core.key_types import OnRestart
    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.process.service_process import ServiceProcess

    Progress = Callable[[Unit], None]


async def stop(
    supervisor: Supervisor, names: Sequence[str], progress: Progress
) -> list[ServiceFailed]:
    """Stop services, dependents first; return those that can't be ended."""
    supervisor.scheduler.forget(plan.closure(names, plan.reverse(supervisor.needs())))
    for wave in plan.stop_waves(names, supervisor.needs()):
        units = supervisor.choose(wave)
        found = await asyncio.gather(*(_failure(take_down(unit, progress)) for unit in units))
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
    """Restart services in the order of their needs, each ready before the next one.

    Also start their needs, and wait for the services that follow. `wanted` overrides the
    configured way of restarting event services; `before` are the processes to be replaced, by
    default the current ones. Stop at the first failure; return what was restarted, and the
    failures. What needs a service that failed keeps its process, or starts when that is ready.
    """
    done: list[dict[str, object]] = []
    before = before or processes(supervisor)
    for unit in supervisor.choose(_in_order(supervisor, names)):
        missing = [n for n in unit.spec.needs if not supervisor.units[n].usable]
        failures = await start_all(supervisor, missing, progress)
        if failures:
            if unit.state not in COMING_UP:
                supervisor.scheduler.resume([unit.name])
            return done, failures
        began = time.monotonic()
        facts: dict[str, object] = {}
        fresh = unit.process not in {None, before.get(unit.name)}  # it followed an earlier one
        try:
            match "fresh" if fresh else restarts.way_of(unit, wanted):
                case "fresh":
                    await restarts.await_ready(unit, lambda _: None)  # it was reported then
                case "handover":
                    facts = await restarts.handover(unit, progress)
                case "notify":
                    facts = await restarts.notify(supervisor, unit, progress)
                case None:
                    await restarts.replace_process(supervisor, unit, progress)
        except ServiceFailed as failure:
            return done, [failure]
        seconds = round(time.monotonic() - began, 3)
        done.append({"service": unit.name, **facts, "seconds": seconds})
        failures = await _await_followers(supervisor, unit, progress)
        if failures:
            return done, failures
    return done, []


def processes(supervisor: Supervisor) -> dict[str, ServiceProcess | None]:
    """Return the current process of each service."""
    return {unit.name: unit.process for unit in supervisor.units.values()}


def _in_order(supervisor: Supervisor, names: Sequence[str]) -> list[str]:
    waves = plan.start_waves(names, supervisor.needs())
    return [name for wave in waves for name in wave if name in names]


async def _await_followers(
    supervisor: Supervisor, unit: Unit, progress: Progress
) -> list[ServiceFailed]:
    """Wait for the services that restart because this one has, and for their followers."""
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


async def _failure(work: Awaitable[None]) -> ServiceFailed | None:
    """Do the work, and return what has failed."""
    try:
        await work
    except ServiceFailed as failure:
        return failure
    return None
