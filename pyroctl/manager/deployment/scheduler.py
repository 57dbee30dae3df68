"""Starts services in the order of their needs, for `pyroctl run` and for every command."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.core.state import Start, State, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from pyroctl.manager.deployment.unit import Unit

COMING_UP = frozenset({State.STARTING, State.RUNNING})


class Scheduler:
    """Starts each requested service as soon as all its needs are ready, however long that takes.

    After a failure the restart policy decides; what needs a service that is down waits for it.
    Lives in the event loop's thread.
    """

    def __init__(self, units: Callable[[], Mapping[str, Unit]]) -> None:
        self._units = units
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def request(self, names: Iterable[str], *, rerun: bool = True) -> None:
        """Start services, and those of their needs that are not usable.

        `rerun` tells whether services, other than needs, run again if they have done their work.
        """
        named, units = set(names), self._units()
        wanted = self._with_needs(named)
        later = set() if rerun else self._wait_for_time(wanted)
        self.resume(
            name
            for name in units
            if name in wanted - later and not self._is_up(name, rerun=rerun and name in named)
        )

    def autostart(self, names: Iterable[str]) -> None:
        """Start services and their needs, except those that have run before."""
        wanted, units = self._with_needs(names), self._units()
        later = self._wait_for_time(wanted)
        self.resume(
            name
            for name, unit in units.items()
            if name in wanted - later and unit.state is State.STOPPED
        )

    def _is_up(self, name: str, *, rerun: bool) -> bool:
        unit = self._units()[name]
        return unit.state in COMING_UP or (unit.usable and not rerun)

    def _wait_for_time(self, wanted: AbstractSet[str]) -> set[str]:
        """Return the tasks that now wait for their time of the day: no service needs them."""
        units = self._units()
        needed = {need for name in wanted for need in units[name].spec.needs}
        later = {n for n in wanted - needed if getattr(units[n].spec.options, "at", ())}
        later = {n for n in later if units[n].state is State.STOPPED or _has_not_run(units[n])}
        for name in later:
            units[name].send(Wait())
        return later

    def resume(self, names: Iterable[str]) -> None:
        """Start exactly these services, for example those that were pending before a reexec."""
        loop = asyncio.get_running_loop()
        for name in names:
            if name in self._units() and self.task(name) is None:
                self._tasks[name] = loop.create_task(self._bring_up(name))

    def pending(self) -> list[str]:
        """Return the services that wait for their needs."""
        return [name for name in self._tasks if self.task(name) is not None]

    def task(self, name: str) -> asyncio.Task[None] | None:
        """Return the task that will start a pending service; None if it isn't pending."""
        task = self._tasks.get(name)
        return task if task is not None and not task.done() else None

    def waits_for(self, name: str) -> str | None:
        """Return the need that a pending service waits for."""
        return None if self.task(name) is None else self._missing(name)

    def refresh(self) -> None:
        """Evaluate the needs of what is pending again: the configuration has changed."""
        pending = self.pending()
        self.forget(pending)
        self.resume(pending)

    def forget(self, names: Iterable[str]) -> None:
        """Don't start these services any more."""
        for name in names:
            if (task := self._tasks.pop(name, None)) is not None:
                task.cancel()

    def _with_needs(self, names: Iterable[str]) -> set[str]:
        return plan.closure(names, {n: unit.spec.needs for n, unit in self._units().items()})

    def _missing(self, name: str) -> str | None:
        units = self._units()
        for need in units[name].spec.needs:
            if self.task(need) is not None or not units[need].usable:
                return need
        return None

    async def _bring_up(self, name: str) -> None:
        while (need := self._missing(name)) is not None:
            unit = self._units()[need]
            if (task := self.task(need)) is not None:
                await asyncio.wait({task})
            elif _has_not_run(unit):
                self.resume([need])
            else:
                await unit.wait_until(frozenset(State) - {unit.state})
        self._units()[name].send(Start())


def _has_not_run(unit: Unit) -> bool:
    """Return whether it is a task that waits for its first time."""
    return unit.state is State.EXITED and unit.service_state.outcome is None
