"""Reads the configuration again, and plans what a reload changes."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import zlib
from typing import TYPE_CHECKING, Any

from pyroctl.config.subprocess_loader import load_apart
from pyroctl.core.diff import manager_changes, waits
from pyroctl.core.reload_plan import INTERRUPTING, Action, Present, reload_plan
from pyroctl.core.spec import EventServiceOptions, TlsOptions
from pyroctl.core.state import State
from pyroctl.errors import PyroctlError
from pyroctl.manager.process.control_link import RequestRefused

if TYPE_CHECKING:
    from pyroctl.core.diff import KeyChange
    from pyroctl.core.reload_plan import Step
    from pyroctl.core.spec import Deployment, Options
    from pyroctl.manager.deployment.supervisor import Supervisor

ADDRESS_KEYS = frozenset({"kind", "host", "port", "socket_mode"})
"""The keys that must not change if an event service is to hand over."""
TROUBLED = frozenset({State.BACKOFF, State.FAILED})


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
    state = supervisor.paths.state
    found = await asyncio.to_thread(load_apart, file, os.environ, directory, state)
    old = supervisor.deployment
    changes = manager_changes(old, found)
    kept = {change.key: change.old for change in changes if waits(change)}
    new = dataclasses.replace(found, **kept)
    return Reload(new, reload_plan(old, new, present(supervisor)), changes)


def present(supervisor: Supervisor) -> Present:
    """Return the state of the services, from which a reload is planned."""
    units = supervisor.units.values()
    return Present(
        processes={unit.name: unit.process.spec for unit in units if unit.process is not None},
        troubled={unit.name for unit in units if unit.state in TROUBLED},
        retried={unit.name for unit in units if unit.state is State.BACKOFF},
        usable={unit.name for unit in units if unit.usable},
    )


def _entry(change: KeyChange) -> dict[str, Any]:
    hidden = change.secret
    return {
        "key": change.key,
        "old": None if hidden else change.old,
        "new": None if hidden else change.new,
        "live": change.live,
    }


async def credentials(supervisor: Supervisor) -> list[PyroctlError]:
    """Ask services to read their certificates, and who is let in, again; return what they refuse.

    A service that refuses goes on with what it had.
    """
    units = [unit for unit in supervisor.units.values() if _has_credentials(unit.spec.options)]
    answers = await asyncio.gather(*(unit.ask("reload") for unit in units), return_exceptions=True)
    return [
        PyroctlError(str(answer), service=unit.name)
        for unit, answer in zip(units, answers, strict=True)
        if isinstance(answer, RequestRefused)
    ]


def _has_credentials(options: Options) -> bool:
    if isinstance(options, EventServiceOptions) and options.ident_file is not None:
        return True
    return isinstance(options, TlsOptions) and options.tls != "off"
