"""Asks a running service now and then whether it is still alive."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pyroctl.core.watchdog import count_missed, verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyroctl.core.spec import WatchdogSpec


class Watchdog:
    """Calls `on_hung` once, with the reason, when a service has missed too many questions.

    `probe` asks once: it returns whether there was an answer, within the seconds that it is given.
    Begins at once and ends with `cancel`; all of it in the event loop's thread.
    """

    def __init__(
        self,
        spec: WatchdogSpec,
        probe: Callable[[float], Awaitable[bool]],
        on_hung: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._probe = probe
        self._on_hung = on_hung
        self._clock = clock
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def cancel(self) -> None:
        """Ask no more."""
        self._task.cancel()

    async def _watch(self) -> None:
        missed, waited = 0, 0.0
        while (reason := verdict(missed, self._spec)) is None:
            await asyncio.sleep(max(0.0, self._spec.every - waited))
            asked = self._clock()
            answered = await self._probe(self._spec.timeout)
            waited = self._clock() - asked
            missed = count_missed(missed, waited, self._spec, answered=answered)
        self._on_hung(reason)
