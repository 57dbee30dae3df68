"""Waiting for the end of a service is bounded by the time that it may take."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pyroctl.core.spec import CommandOptions, ServiceSpec
from pyroctl.core.state import SETTLED, ServiceState, State
from pyroctl.errors import NotEnded
from pyroctl.manager.deployment.stopping import take_down, wait_until

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Container


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Never sleeps: its clock advances to the next timer instead."""

    now = 0.0

    def time(self) -> float:
        return self.now

    _scheduled: list[asyncio.TimerHandle]
    _ready: deque[asyncio.Handle]

    def _run_once(self) -> None:
        due = [timer.when() for timer in self._scheduled if not timer.cancelled()]
        if due and not self._ready:
            self.now = max(self.now, min(due))
        super()._run_once()  # type: ignore[misc] # not in typeshed


class Stuck:
    """A unit whose process ends `ends` seconds after the signal."""

    name = "disk"

    def __init__(self, ends: float | None) -> None:
        self.spec = replace(ServiceSpec("disk", CommandOptions(("true",))), stop_timeout=10)
        self.state = State.RUNNING
        self.processes = SimpleNamespace(pids=lambda: [812, 813])
        self._ends = ends
        self._changed = asyncio.Event()

    def send(self, event: object) -> None:
        self.enter(State.STOPPING)
        if self._ends is not None:
            asyncio.get_running_loop().call_later(self._ends, self.enter, State.STOPPED)

    def enter(self, state: State) -> None:
        self.state = state
        self._changed.set()

    async def wait_until(self, states: Container[State]) -> ServiceState:
        while self.state not in states:
            self._changed.clear()
            await self._changed.wait()
        return ServiceState(self.state)


def run(work: Callable[[], Any]) -> float:
    """Run it with a simulated clock, and return how many seconds it took."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(work())
        return runner.get_loop().time()


def test_a_process_that_never_ends_is_named() -> None:
    """The error comes after the stop's time-out and the grace, with its pids."""

    async def work() -> None:
        unit: Any = Stuck(ends=None)
        with pytest.raises(NotEnded) as found:
            await take_down(unit)
        assert found.value.entries()[0]["pids"] == [812, 813]
        assert (
            "disk could not be stopped: processes 812, 813 survived SIGKILL" in found.value.message
        )

    assert run(work) == pytest.approx(13)


def test_one_that_takes_all_of_its_time_is_waited_for() -> None:
    """A service that was not running is not reported."""

    async def work() -> None:
        reports: list[object] = []
        unit: Any = Stuck(ends=12)
        await take_down(unit, reports.append)
        assert unit.state in SETTLED
        await take_down(unit, reports.append)
        assert reports == [unit]

    assert run(work) == pytest.approx(24)


def test_only_stopping_is_bounded() -> None:
    """Waiting for a service to start is not bounded."""

    async def work() -> None:
        unit: Any = Stuck(ends=None)
        unit.state = State.STARTING
        asyncio.get_running_loop().call_later(1000, unit.enter, State.STOPPING)
        asyncio.get_running_loop().call_later(1012, unit.enter, State.STARTING)
        asyncio.get_running_loop().call_later(2000, unit.enter, State.RUNNING)
        found = await wait_until(unit, {State.RUNNING})
        assert found.state is State.RUNNING

    assert run(work) == pytest.approx(2000)
