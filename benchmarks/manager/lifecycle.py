"""Measurements of many services: from the launch to the end."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.manager.processes import (
    Sleepers,
    cpu_time,
    cpu_time_of_ended,
    descendants,
    memory,
    run,
    running,
    switches,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.manager.processes import Cost
    from benchmarks.manager.system import System

SETTLED = 1.6
"""Seconds after the launch until services count as long-lived, for runit and s6 too."""


class Life(NamedTuple):
    """What one manager took for one life of all services; seconds and bytes."""

    startup: float
    """From the launch until all processes are there."""
    startup_cpu: float
    """Of the manager's own processes until then, with those that have ended."""
    status: Cost | None
    crash: float
    """From a service's death by SIGKILL until its successor is there."""
    rss: int
    pss: int
    """Of the manager's own processes together."""
    idle_switches: int
    idle_cpu: float
    """While nothing happened for the time that was asked for."""
    stop: float
    """From the command to stop all until it is done, and nothing is left."""


def live(system_class: type[System], directory: Path, count: int, idle: float) -> Life:
    """Run `count` times `sleep` under a manager, and measure on the way."""
    sleepers = Sleepers(count)
    system = system_class(directory, [Sleepers.command(number) for number in range(count)])
    system.prepare()
    launched = time.perf_counter()
    with running(system.manager()) as manager:
        wait_for(sleepers.all_up, f"{system.name} starts {count}")
        startup = time.perf_counter() - launched
        own = _own(manager, sleepers)
        startup_cpu = sum(map(cpu_time, own)) + sum(map(cpu_time_of_ended, own))
        time.sleep(SETTLED)
        status = _status(system)
        rss, pss = _memory(manager, sleepers)
        idle_switches, idle_cpu = _idle(manager, sleepers, idle)
        crash = 0.0 if system.name == "honcho" else _crash(sleepers)
        stop = _timed(lambda: _stop(system, manager, sleepers))
    return Life(startup, startup_cpu, status, crash, rss, pss, idle_switches, idle_cpu, stop)


def _status(system: System) -> Cost | None:
    command = system.status()
    return None if command is None else run(command)


def _own(manager: int, sleepers: Sleepers) -> set[int]:
    """Return the manager's processes without the services."""
    return {manager, *descendants(manager)} - set(sleepers.alive().values())


def _memory(manager: int, sleepers: Sleepers) -> tuple[int, int]:
    sizes = [memory(pid) for pid in _own(manager, sleepers)]
    return sum(rss for rss, _ in sizes), sum(pss for _, pss in sizes)


def _idle(manager: int, sleepers: Sleepers, seconds: float) -> tuple[int, float]:
    own = _own(manager, sleepers)
    before = sum(map(switches, own)), sum(map(cpu_time, own))
    time.sleep(seconds)
    after = sum(map(switches, own)), sum(map(cpu_time, own))
    return after[0] - before[0], after[1] - before[1]


def _crash(sleepers: Sleepers) -> float:
    victim = sleepers.alive()[0]
    os.kill(victim, signal.SIGKILL)
    return _timed(
        lambda: wait_for(lambda: sleepers.alive().get(0, victim) != victim, "it comes back")
    )


def _stop(system: System, manager: int, sleepers: Sleepers) -> None:
    command = system.stop_all()
    if command is None:
        os.kill(manager, signal.SIGTERM)
    else:
        run(command)
    wait_for(lambda: not sleepers.alive(), f"{system.name} stops everything")


def _timed(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
