"""Those who wait until a service's life fulfils a condition."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.state import ServiceState

    Condition = Callable[[ServiceState], bool]


class StateWaiters:
    """Who waits for what; lives in the event loop's thread."""

    def __init__(self) -> None:
        self._waiters: list[tuple[Condition, asyncio.Future[ServiceState]]] = []

    async def until(self, condition: Condition) -> ServiceState:
        """Wait for a life of which `tell` is told and that fulfils the condition, and give it."""
        waiter: asyncio.Future[ServiceState] = asyncio.get_running_loop().create_future()
        entry = (condition, waiter)
        self._waiters.append(entry)
        try:
            return await waiter
        finally:
            self._waiters.remove(entry)

    def tell(self, life: ServiceState) -> None:
        """Wake up those who have waited for this."""
        for condition, waiter in self._waiters:
            if not waiter.done() and condition(life):
                waiter.set_result(life)
