"""Brings up the enabled services of a manager that was told to: `pyroctl run`."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.core.state import Start, State, is_usable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroctl.manager.deployment.supervisor import Supervisor

log = logging.getLogger(__name__)


class Autostart:
    """Starts each enabled service as soon as all that it needs is ready, however long that takes.

    The restart policy goes on after a failure; what needs a service that has been given up stays
    down. Lives in the event loop's thread.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self) -> None:
        """Start what is enabled, and what that needs."""
        needs = self._supervisor.needs()
        wanted = plan.closure(self._supervisor.enabled(), needs)
        self._expect(name for name in needs if name in wanted)

    def pending(self) -> list[str]:
        """Give what isn't up yet."""
        return [name for name, task in self._tasks.items() if not task.done()]

    def go_on(self, names: Iterable[str]) -> None:
        """Go on with what another program in this process has begun."""
        self._expect(name for name in names if name in self._supervisor.units)

    def renew(self) -> None:
        """Look again at the needs of what isn't up yet: the deployment has changed."""
        late = self.pending()
        self._cancel()
        self._expect(name for name in late if name in self._supervisor.units)

    async def end(self) -> None:
        """Start nothing any more."""
        tasks = list(self._tasks.values())
        self._cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _expect(self, names: Iterable[str]) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = {name: loop.create_task(self._bring_up(name)) for name in names}

    def _cancel(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def _bring_up(self, name: str) -> None:
        units = self._supervisor.units
        unit = units[name]
        for need in unit.spec.needs:
            await units[need].wait_until(is_usable)
        if unit.state is State.STOPPED and not self._supervisor.closing:
            unit.send(Start())
        await unit.wait_until(is_usable)
        log.info("%s is up%s", unit.name, f" at {unit.uri}" if unit.uri else "")
