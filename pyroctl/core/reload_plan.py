"""What a reload does, step by step, from one deployment to another. Pure.

Services that were removed from the configuration are stopped first; then every change that needs
no new process takes effect; then services restart and new ones start, in the order of their needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.core.diff import moved_name_server, moved_needs, service_changes
from pyroctl.core.key_types import UNIX
from pyroctl.core.spec import CommandOptions, PortReady, TaskOptions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pyroctl.core.diff import KeyChange
    from pyroctl.core.spec import Deployment, ServiceSpec


class Action(StrEnum):
    """What is done to a service."""

    REMOVE = "remove"
    """Stop it; it has been removed from the deployment."""
    UPDATE = "update"
    """Apply what needs no new process, or what takes effect at the next start."""
    ADD = "add"
    """Add it without starting it: it isn't enabled."""
    STOP = "stop"
    """Free its address, which another service gets before it starts again itself."""
    RESTART = "restart"
    START = "start"


INTERRUPTING = frozenset({Action.REMOVE, Action.STOP, Action.RESTART})
"""Actions that a service's clients notice."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action on one service."""

    action: Action
    service: str
    changes: tuple[KeyChange, ...] = ()
    why: str = ""
    """For users, if the changes don't show it."""


@dataclass(frozen=True, slots=True)
class Present:
    """The state before a reload."""

    processes: Mapping[str, ServiceSpec]
    """What each existing process was started with, by its service's name."""
    troubled: Collection[str] = ()
    """Services that should be up and aren't: they failed, or wait for the next attempt."""
    retried: Collection[str] = ()
    """Those of them that wait for the next attempt: it comes by itself."""
    usable: Collection[str] = ()
    """Services that are ready, or have done their work: what needs them can start."""


def reload_plan(
    old: Deployment, new: Deployment, present: Present, up: Collection[str] | None = None
) -> tuple[Step, ...]:
    """Return the steps from what exists to the new deployment.

    A service restarts if a key that isn't live differs from what its process was started with. One
    that is retried starts for such a key, too; one that has failed, if anything differs. New
    services start if they are enabled or, if `up` is given, if they are in it. Services that were
    stopped by command stay down.
    """
    changes = {n: _changes(n, old, new, present) for n in new.services if n in old.services}
    again = {name for name, found in changes.items() if _needs_start(name, found, present)}
    added = [name for name in new.services if name not in old.services]
    starting = {n for n in added if (new.services[n].enabled if up is None else n in up)}
    order = _start_order(again | starting, new, present)
    room = _in_the_way(order, old, new, present)
    steps = [*_removals(old, new)]
    steps += [Step(Action.ADD, name) for name in added if name not in order]
    steps += [
        Step(Action.UPDATE, name, found)
        for name, found in changes.items()
        if found and name not in again
    ]
    steps += [Step(Action.STOP, name, why=why) for name, why in reversed(room.items())]
    for name in order:
        if name in again:
            replaced = name in present.processes and name not in room
            action = Action.RESTART if replaced else Action.START
            steps.append(Step(action, name, changes[name]))
        else:
            why = "new" if name in starting else "needed by what starts"
            steps.append(Step(Action.START, name, why=why))
    return tuple(steps)


def _changes(
    name: str, old: Deployment, new: Deployment, present: Present
) -> tuple[KeyChange, ...]:
    """Return what differs: live keys from the last specification, others from the process's own."""
    before, after = old.services[name], new.services[name]
    known = service_changes(before, after)
    server = moved_name_server(name, old, new)
    moved = (*([server] if server else ()), *moved_needs(name, old, new))
    if name not in present.processes:
        return (*known, *moved) if name in present.troubled else known
    found = service_changes(present.processes[name], after)
    return (
        *(change for change in found if not change.live),
        *moved,
        *(change for change in known if change.live),
    )


def _needs_start(name: str, changes: Sequence[KeyChange], present: Present) -> bool:
    if name in present.troubled and name not in present.retried:
        return bool(changes)
    known = name in present.processes or name in present.retried
    return known and any(not change.live for change in changes)


def _removals(old: Deployment, new: Deployment) -> list[Step]:
    gone = [name for name in old.services if name not in new.services]
    waves = plan.stop_waves(gone, _needs(old))
    why = "no longer in the configuration"
    return [Step(Action.REMOVE, n, why=why) for wave in waves for n in wave if n in gone]


def _start_order(names: Collection[str], new: Deployment, present: Present) -> list[str]:
    """Return what starts, and the services it needs that aren't usable, in order."""
    waves = plan.start_waves(names, _needs(new))
    return [n for wave in waves for n in wave if n in names or n not in present.usable]


def _in_the_way(
    order: Sequence[str], old: Deployment, new: Deployment, present: Present
) -> dict[str, str]:
    """Return the services that hold an address of an earlier one, with the reason to stop them."""
    found: dict[str, str] = {}
    for index, name in enumerate(order):
        wanted = _addresses(new.services[name])
        for later in order[index + 1 :]:
            held = present.processes.get(later) or old.services.get(later)
            if held is not None and wanted & _addresses(held):
                found.setdefault(later, f"makes room for {name}")
    return found


def _addresses(spec: ServiceSpec) -> set[object]:
    options = spec.options
    if isinstance(options, TaskOptions):
        return set()
    if isinstance(options, CommandOptions):
        return {options.ready.port} if isinstance(options.ready, PortReady) else set()
    if options.host.startswith(UNIX):
        return {options.host}
    return {options.port} if options.port else set()


def _needs(deployment: Deployment) -> dict[str, tuple[str, ...]]:
    return {name: spec.needs for name, spec in deployment.services.items()}
