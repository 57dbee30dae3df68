"""Reads the configuration again, and applies what has changed: all of it, or nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import zlib
from typing import TYPE_CHECKING, Any

from pyroctl.config.subprocess_loader import load_apart
from pyroctl.core.diff import manager_changes, waits
from pyroctl.core.reload_plan import INTERRUPTING, Action, Present, reload_plan
from pyroctl.core.spec import EventServiceOptions
from pyroctl.core.state import SETTLED, USABLE, State
from pyroctl.errors import NotEnded, PyroctlError, ShuttingDown
from pyroctl.manager.commands import operations
from pyroctl.manager.commands.starting import start_all_or_none
from pyroctl.manager.deployment.stopping import take_down

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.core.diff import KeyChange
    from pyroctl.core.reload_plan import Step
    from pyroctl.core.spec import Deployment
    from pyroctl.errors import ServiceFailed
    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit

    Progress = Callable[[Unit], None]

ADDRESS_KEYS = frozenset({"kind", "host", "port", "socket_mode"})
"""The keys that must not change if an event service is to hand over."""
TROUBLED = frozenset({State.BACKOFF, State.FAILED})

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Reload:
    """A valid configuration, and the steps to apply it."""

    deployment: Deployment
    """The new one, but with the `[manager]` table that is in effect."""
    steps: tuple[Step, ...]
    manager: tuple[KeyChange, ...]
    """Changes of `[manager]`; most take effect when the manager restarts."""

    def interrupted(self) -> list[str]:
        """Return the services that will be interrupted or removed."""
        return [
            step.service
            for step in self.steps
            if step.action in INTERRUPTING and not self._hands_over(step)
        ]

    def _hands_over(self, step: Step) -> bool:
        """Return whether a restart is a handover, which is invisible to clients."""
        if step.action is not Action.RESTART:
            return False
        options = self.deployment.services[step.service].options
        moves = ADDRESS_KEYS.intersection(change.key for change in step.changes)
        handover = isinstance(options, EventServiceOptions) and options.on_restart == "handover"
        return handover and not moves

    def fingerprint(self) -> str:
        """Return a text that identifies the configuration.

        It doesn't depend on the steps, which a service that fails repeatedly would change.
        """
        return f"{zlib.crc32(repr((self.deployment, self.manager)).encode()):08x}"

    def entries(self) -> list[dict[str, Any]]:
        """Return the plan for JSON."""
        return [
            {
                "action": str(step.action),
                "service": step.service,
                "changes": [_entry(change) for change in step.changes],
                "why": step.why or None,
            }
            for step in self.steps
        ]

    def manager_entries(self) -> list[dict[str, Any]]:
        """Return the changes of `[manager]` for JSON."""
        return [{**_entry(change), "live": not waits(change)} for change in self.manager]


async def prepare(supervisor: Supervisor) -> Reload:
    """Read the manager's configuration again, and plan; raise ConfigError. Changes nothing."""
    file, directory = supervisor.deployment.file, supervisor.deployment.directory
    found = await asyncio.to_thread(load_apart, file, os.environ, directory)
    old = supervisor.deployment
    changes = manager_changes(old, found)
    kept = {change.key: change.old for change in changes if waits(change)}
    new = dataclasses.replace(found, **kept)
    return Reload(new, reload_plan(old, new, _present(supervisor)), changes)


async def carry_out(
    supervisor: Supervisor, reload: Reload, progress: Progress
) -> tuple[list[dict[str, object]], list[PyroctlError]]:
    """Carry out a plan that was just made; return what was restarted, and what failed.

    If a service doesn't become ready, apply the old deployment again, with the services that were
    up.
    """
    old = supervisor.deployment
    were_up = {u.name for u in supervisor.units.values() if u.state not in SETTLED}
    failed = {u.name for u in supervisor.units.values() if u.state is State.FAILED}
    progress = _once(supervisor, progress)
    done, failures = await _do(supervisor, reload.deployment, reload.steps, progress)
    if not failures:
        return done, []
    for failure in failures:
        log.error("reload: %s; returning to the old configuration", failure)
    present = _present(supervisor)
    missing = {*present.troubled, *(name for name in were_up if name not in present.processes)}
    present = dataclasses.replace(present, troubled=missing)
    back = reload_plan(reload.deployment, old, present, were_up)
    more, again = await _do(supervisor, old, back, progress)
    down = [name for name in failed if supervisor.units[name].state is State.STOPPED]
    supervisor.scheduler.resume(down)  # to be tried as before, and by the next reload
    outcome = PyroctlError(
        "the reload was undone: the old configuration is in effect"
        if not again
        else "the reload was undone, but not all services that ran before are running again",
        hint="correct the configuration, then pyroctl reload",
    )
    return done + more, [*failures, *again, outcome]


async def _do(
    supervisor: Supervisor, new: Deployment, steps: Sequence[Step], progress: Progress
) -> tuple[list[dict[str, object]], Sequence[ServiceFailed]]:
    """Carry out steps up to the first failure; return what was restarted, and what failed."""
    restarts: list[dict[str, object]] = []
    try:
        for step in steps:
            if step.action is Action.REMOVE:
                await take_down(supervisor.units[step.service], progress)
        before = operations.processes(supervisor)
        supervisor.apply(new)
        for step in steps:
            if supervisor.closing:
                raise ShuttingDown
            failures: Sequence[ServiceFailed] = ()
            names = [step.service]
            if step.action is Action.STOP:
                await take_down(supervisor.units[step.service], progress)
            elif step.action is Action.START:
                failures = await start_all_or_none(supervisor, names, progress)
            elif step.action is Action.RESTART:
                done, failures = await operations.restart(
                    supervisor, names, progress, before=before
                )
                restarts += done
            if failures:
                return restarts, failures
    except NotEnded as failure:
        return restarts, [failure]
    return restarts, ()


def _once(supervisor: Supervisor, progress: Progress) -> Progress:
    """Report a service only if it has changed: a start also reports what was up before."""
    known = {unit.name: (unit.state, unit.pid) for unit in supervisor.units.values()}

    def report(unit: Unit) -> None:
        if known.get(unit.name) != (unit.state, unit.pid):
            known[unit.name] = unit.state, unit.pid
            progress(unit)

    return report


def _present(supervisor: Supervisor) -> Present:
    units = supervisor.units.values()
    return Present(
        processes={unit.name: unit.process.spec for unit in units if unit.process is not None},
        troubled={unit.name for unit in units if unit.state in TROUBLED},
        usable={unit.name for unit in units if unit.state in USABLE},
    )


def _entry(change: KeyChange) -> dict[str, Any]:
    hidden = change.secret
    return {
        "key": change.key,
        "old": None if hidden else change.old,
        "new": None if hidden else change.new,
        "live": change.live,
    }
