"""Applies a reload: all of its steps, or none if a service that was up does not come up again."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.core.reload_plan import Action, reload_plan
from pyroctl.core.state import SETTLED, State
from pyroctl.errors import NotEnded, PyroctlError, ServiceFailed, ShuttingDown
from pyroctl.manager.commands import operations
from pyroctl.manager.commands.event_rules import adopt_rules
from pyroctl.manager.commands.reload import TROUBLED, present
from pyroctl.manager.commands.restarts import IN_BETWEEN
from pyroctl.manager.commands.starting import start_all
from pyroctl.manager.deployment.stopping import take_down

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from pyroctl.core.reload_plan import Step
    from pyroctl.core.spec import Deployment
    from pyroctl.manager.commands.reload import Reload
    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.process.service_process import ServiceProcess

    Progress = Callable[[Unit], None]

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a reload."""

    restarts: list[dict[str, object]]
    """The services that were restarted, with the facts for the user."""
    failures: list[PyroctlError]
    undone: bool = False
    """Whether the old configuration is in effect again."""


async def apply(supervisor: Supervisor, reload: Reload, progress: Progress) -> Result:
    """Carry out a plan that was just made.

    If a service that is new or was up doesn't become ready, apply the old deployment again. One
    that was down before is merely reported, and left to its restart policy.
    """
    before = Before.of(supervisor)
    progress = _once(supervisor, progress)
    steps = _Steps(supervisor, progress, may_fail=before.troubled)
    complete = await steps.carry_out(reload.deployment, reload.steps)
    failures: list[PyroctlError] = list(steps.failures.values())
    if complete:
        for failure in failures:
            log.warning("reload: %s", failure)
            if failure.service in before.troubled:
                failure.hint = f"it was down before, so nothing was undone; {failure.hint}"
        return Result(steps.restarts, failures)
    failures = [
        failure for failure in failures if failure.service not in before.troubled
    ] or failures
    for failure in failures:
        log.error("reload: %s; returning to the old configuration", failure)
    back = _Steps(supervisor, progress, may_fail=before.deployment.services)
    await back.carry_out(before.deployment, before.way_back(supervisor, reload.deployment))
    undone = supervisor.deployment is before.deployment
    left = await before.restore(supervisor, progress) if undone else []
    again = [failure for name, failure in back.failures.items() if name not in before.troubled]
    known = {str(failure) for failure in failures}
    failures += [failure for failure in (*again, *left) if str(failure) not in known]
    lost = [name for name in before.up if name in back.failures]
    return Result(steps.restarts + back.restarts, [*failures, _outcome(undone, lost)], undone)


def _outcome(undone: bool, lost: Sequence[str]) -> PyroctlError:
    if not undone:
        return PyroctlError(
            "the reload can't be undone: the new configuration is in effect, but not complete",
            hint="when what could not be stopped has ended: pyroctl reload",
        )
    return PyroctlError(
        "the reload was undone, but not all services that ran before are running again: "
        + ", ".join(lost)
        if lost
        else "the reload was undone: the old configuration is in effect",
        hint="correct the configuration, then pyroctl reload",
    )


@dataclasses.dataclass(frozen=True)
class Before:
    """A deployment before a reload, to return to."""

    deployment: Deployment
    up: Sequence[str]
    """Services that were ready, or about to be for the first time."""
    troubled: Collection[str]
    """Services that had failed, were being retried, or waited for what they need."""
    failed: Collection[str]
    """Those of them that had failed."""
    stopped: Collection[str]
    """Services that were down on request, and did not wait for anything."""

    @classmethod
    def of(cls, supervisor: Supervisor) -> Before:
        """Return what is there now."""
        units = supervisor.units.values()
        pending = supervisor.scheduler.pending()
        troubled = {*pending, *(unit.name for unit in units if _in_trouble(unit))}
        return cls(
            supervisor.deployment,
            [u.name for u in units if u.state not in SETTLED and u.name not in troubled],
            troubled,
            {unit.name for unit in units if unit.state is State.FAILED},
            [u.name for u in units if u.state is State.STOPPED and u.name not in troubled],
        )

    def way_back(self, supervisor: Supervisor, new: Deployment) -> Sequence[Step]:
        """Return the steps from the new deployment, in whatever state, to this one."""
        found = present(supervisor)
        missing = [name for name in self.up if name not in found.processes]
        found = dataclasses.replace(found, troubled=missing, retried=())
        return reload_plan(new, self.deployment, found, self.up)

    async def restore(self, supervisor: Supervisor, progress: Progress) -> list[NotEnded]:
        """Stop what was stopped, and have retried what was retried; return what can't be ended."""
        units, scheduler = supervisor.units, supervisor.scheduler
        left = []
        scheduler.forget(self.stopped)
        for wave in plan.stop_waves(self.stopped, supervisor.needs()):
            for name in wave:
                if name in self.stopped:
                    try:
                        await take_down(units[name], progress)
                    except NotEnded as failure:
                        left.append(failure)
        for name in self.troubled:
            given_up = units[name].state is State.FAILED and name not in self.failed
            if units[name].state is State.STOPPED or given_up:
                scheduler.resume([name])
        return left


class _Steps:
    """Carries out the steps of a plan. Services in `may_fail` don't keep it from the next one."""

    def __init__(
        self, supervisor: Supervisor, progress: Progress, may_fail: Collection[str]
    ) -> None:
        self._supervisor = supervisor
        self._progress = progress
        self._may_fail = may_fail
        self.restarts: list[dict[str, object]] = []
        self.failures: dict[str, ServiceFailed] = {}
        """What has failed, by service."""

    async def carry_out(self, new: Deployment, steps: Sequence[Step]) -> bool:
        """Carry out the steps, up to the first failure that counts; return whether to the end."""
        supervisor = self._supervisor
        try:
            for step in steps:
                if step.action is Action.REMOVE:
                    await take_down(supervisor.units[step.service], self._progress)
            before = operations.processes(supervisor)
            old = supervisor.deployment.services
            supervisor.apply(new)
            self.failures |= await adopt_rules(supervisor, old)
            for step in steps:
                if supervisor.closing:
                    raise ShuttingDown
                found = await self._do(step, before)
                self.failures |= {str(failure.service): failure for failure in found}
                if any(failure.service not in self._may_fail for failure in found):
                    return False
        except NotEnded as failure:
            self.failures[str(failure.service)] = failure
            return False
        return True

    async def _do(
        self, step: Step, before: Mapping[str, ServiceProcess | None]
    ) -> Sequence[ServiceFailed]:
        """Carry out one step; return what has failed."""
        supervisor, names = self._supervisor, [step.service]
        if step.action is Action.STOP:
            await take_down(supervisor.units[step.service], self._progress)
        if step.action not in {Action.START, Action.RESTART}:
            return ()
        need = self._failed_need(step.service)
        if need is not None and step.action is Action.START:
            supervisor.scheduler.resume(names)  # it waits
        elif need is not None:
            self.failures[step.service] = ServiceFailed(
                f"{step.service} was not restarted, and keeps its settings: it needs {need}",
                service=step.service,
                hint=f"pyroctl reload restarts it when {need} is ready",
            )
        elif step.action is Action.START:
            return await start_all(supervisor, names, self._progress)
        else:
            done, failures = await operations.restart(
                supervisor, names, self._progress, before=before
            )
            self.restarts += done
            return failures
        return ()

    def _failed_need(self, name: str) -> str | None:
        """Return a need that is not ready because this attempt to start it has failed."""
        units = self._supervisor.units
        down = {n: unit.spec.needs for n, unit in units.items() if not unit.usable}
        needs = plan.closure(units[name].spec.needs, down)
        return next((n for n in self.failures if n in needs and n in down), None)


def _in_trouble(unit: Unit) -> bool:
    """Return whether a service has failed, or is being retried."""
    retried = unit.state in IN_BETWEEN and unit.service_state.failures > 0
    return unit.state in TROUBLED or retried


def _once(supervisor: Supervisor, progress: Progress) -> Progress:
    """Report a service only if it has changed: a start also reports what was up before."""
    known = {unit.name: (unit.state, unit.pid) for unit in supervisor.units.values()}

    def report(unit: Unit) -> None:
        if known.get(unit.name) != (unit.state, unit.pid):
            known[unit.name] = unit.state, unit.pid
            progress(unit)

    return report
