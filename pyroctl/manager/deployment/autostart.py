"""Starts the enabled services, for `pyroctl run`."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.core.state import USABLE, Start, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroctl.manager.deployment.supervisor import Supervisor

log = logging.getLogger(__name__)


class Autostart:
    """Starts each enabled service as soon as all its needs are ready, however long that takes.

    After a failure the restart policy decides; what needs a service that was given up stays down.
    Lives in the event loop's thread.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Start the enabled services and their needs."""
        needs = self._supervisor.needs()
        wanted = plan.closure(self._supervisor.enabled(), needs)
        self._begin(name for name in needs if name in wanted)

    def pending(self) -> list[str]:
        """Return the services that are not up yet."""
        return [name for name, task in self._tasks.items() if not task.done()]

    def resume(self, names: Iterable[str]) -> None:
        """Continue with what is still pending, after a reexec."""
        self._begin(name for name in names if name in self._supervisor.units)

    def refresh(self) -> None:
        """Evaluate the needs of what is pending again: the configuration has changed."""
        pending = self.pending()
        self._cancel()
        self.resume(pending)

    async def stop(self) -> None:
        """Start nothing any more."""
        tasks = list(self._tasks.values())
        self._cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, names: Iterable[str]) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = {name: loop.create_task(self._bring_up(name)) for name in names}

    def _cancel(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def _bring_up(self, name: str) -> None:
        units = self._supervisor.units
        unit = units[name]
        for need in unit.spec.needs:
            await units[need].wait_until(USABLE)
        if unit.state is State.STOPPED and not self._supervisor.closing:
            unit.send(Start())
        await unit.wait_until(USABLE)
        log.info("%s is up%s", unit.name, f" at {unit.uri}" if unit.uri else "")
