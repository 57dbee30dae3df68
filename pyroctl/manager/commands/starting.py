"""Starts services and waits for them: what works stays up, or all of it is taken back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pyroctl.core import plan
from pyroctl.core.state import SETTLED, USABLE, AfterStop, State
from pyroctl.errors import NotEnded, ServiceFailed, ShuttingDown
from pyroctl.manager.commands import restarts
from pyroctl.manager.deployment.stopping import take_down

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit

    Progress = Callable[[Unit], None]


async def start_all(
    supervisor: Supervisor, names: Sequence[str], progress: Progress
) -> list[ServiceFailed]:
    """Start services and their needs, wait for them, and return what failed; it stays requested."""
    start = StartAttempt(supervisor, names, progress)
    await start.settle()
    return start.failures()


class StartAttempt:
    """Requests services and their needs, and follows each until it is ready or has failed.

    A service that fails is left to its restart policy; what needs it waits. `rerun` as for
    `Scheduler.request`.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        names: Iterable[str],
        progress: Progress,
        *,
        rerun: bool = True,
    ) -> None:
        if supervisor.closing:
            raise ShuttingDown
        names = list(names)
        waves = plan.start_waves(names, supervisor.needs())
        self._supervisor = supervisor
        self._progress = progress
        self.units = {unit.name: unit for wave in waves for unit in supervisor.choose(wave)}
        """The services and their needs, in the order in which they can start."""
        done = () if rerun else [u for u in self.units.values() if u.state is State.EXITED]
        self._begun = [u for u in self.units.values() if u not in done and self._is_down(u)]
        up = (unit for unit in self.units.values() if unit.state in USABLE)
        self._found_up = [unit for unit in up if unit not in self._begun]
        self._tasks: dict[str, asyncio.Task[bool]] = {}
        self._failed: dict[str, ServiceFailed] = {}
        self._given_up: dict[str, ServiceFailed] = {}
        self._waiting: dict[str, str] = {}
        """The need that each service waits for."""
        supervisor.scheduler.request(names, rerun=rerun)

    def _is_down(self, unit: Unit) -> bool:
        """Return whether nobody else has started it or is about to."""
        state = unit.service_state
        stops = state.state is State.STOPPING and state.then is AfterStop.STAY_DOWN
        pending = self._supervisor.scheduler.task(unit.name) is not None
        return (state.state in SETTLED or stops) and not pending

    async def settle(self, max_wait: float | None = None) -> None:
        """Wait until each service is ready, has failed, or waits for one that has.

        Waits no longer than `max_wait` seconds; changes nothing after that.
        """
        todo: Collection[str] = self.units
        try:
            async with asyncio.timeout(max_wait):
                while todo := [name for name in self.units if name in todo]:
                    await self._settle(todo)
                    todo = self._recovered() or self._restart_fallen()
        except TimeoutError:
            late = [name for name, task in self._tasks.items() if not task.done()]
            self._failed |= {name: self._late(name, max_wait) for name in late}
        finally:
            for task in self._tasks.values():
                task.cancel()

    def give_up(self, names: Iterable[str]) -> None:
        """Don't wait for these services any longer, because another command stops them."""
        for name in names:
            if name in self.units:
                self._given_up[name] = ServiceFailed(
                    f"{name} was stopped before the start was complete",
                    service=name,
                    hint=f"another command stops {name}",
                )
                if name in self._tasks:
                    self._tasks[name].cancel()

    def failures(self) -> list[ServiceFailed]:
        """Return an error for each service that is not up, unless it waits for another one."""
        found = {}
        for name, unit in self.units.items():
            if unit.state not in USABLE and name not in self._waiting:
                found[name] = self._failed.get(name) or restarts.failure(unit, unit.service_state)
        return list({**found, **self._given_up}.values())

    @property
    def idle(self) -> bool:
        """Whether there was nothing to start."""
        return not self._begun

    def waiting(self) -> dict[str, str]:
        """Return the services that wait for one that isn't ready, and the first such need."""
        return {name: need for name, need in self._waiting.items() if name not in self._given_up}

    async def take_back(self) -> list[ServiceFailed]:
        """Stop what this attempt has started, last first; return why, and what can't be ended."""
        failures = self.failures()
        self._supervisor.scheduler.forget(unit.name for unit in self._begun)
        for unit in reversed(self._begun):
            try:
                await take_down(unit)
            except NotEnded as failure:
                failures.append(failure)
        return failures

    async def _settle(self, names: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        for name in names:
            self._failed.pop(name, None)
            self._waiting.pop(name, None)
            if name not in self._given_up:
                self._tasks[name] = loop.create_task(self._follow(self.units[name]))
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        for task in self._tasks.values():
            if not task.cancelled():
                task.result()  # raises what was not expected

    def _recovered(self) -> Collection[str]:
        """Return what to follow again: services that were ready after all, and what needs them."""
        units = self.units
        back = [n for n in self._failed if units[n].state in USABLE and n not in self._given_up]
        return {*back, *self._waiting} if back else ()

    def _restart_fallen(self) -> Collection[str]:
        """Start, once, what seemed to be up at first: it ended as if just before this attempt.

        For a moment a new manager takes a dead process that it has reattached for a running one.
        """
        down = {State.BACKOFF, State.FAILED}
        found_up, self._found_up = self._found_up, []
        fallen = [u.name for u in found_up if u.state in down and u.name not in self._given_up]
        self._supervisor.scheduler.request(fallen)
        return {*fallen, *self._waiting} if fallen else ()

    async def _follow(self, unit: Unit) -> bool:
        """Return whether a service has become ready."""
        scheduler = self._supervisor.scheduler
        if (pending := scheduler.task(unit.name)) is not None:
            needs = [self._tasks[need] for need in unit.spec.needs if need in self._tasks]
            either: list[asyncio.Future[Any]] = [pending, asyncio.gather(*needs)]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # if all needs are ready, it starts in this turn
            if (need := scheduler.waits_for(unit.name)) is not None:
                self._waiting[unit.name] = need
                return False
            await asyncio.wait({pending})
        try:
            await restarts.await_ready(unit, self._progress)
        except ServiceFailed as failure:
            self._failed[unit.name] = failure
            self._progress(unit)
            return False
        return True

    def _late(self, name: str, max_wait: float | None) -> ServiceFailed:
        unit = self.units[name]
        need = self._supervisor.scheduler.waits_for(name)
        state = unit.state if need is None else f"waiting for {need}"
        return ServiceFailed(
            f"{name} is not ready after {max_wait:g} s: {state}",
            service=name,
            hint=f"nothing was stopped; pyroctl status {name} shows how it goes on",
            output=unit.log.last_lines(),
        )
