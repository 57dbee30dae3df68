"""What clients would lose if a service were stopped or restarted, and who is back afterwards."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyroctl.core.spec import EventServiceOptions, NameServerOptions
from pyroctl.core.state import State

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from pyroctl.manager.deployment.unit import Unit

ANSWER_TIMEOUT = 2.0
"""Seconds that a service has to say who depends on it."""
RETURN_TIMEOUT = 5.0
"""Seconds that aware subscribers have to come back after a restart."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25
"""Seconds between looks at who is back."""


@dataclass(frozen=True, slots=True)
class Subscribers:
    """Who is subscribed at an event service: the plain ones by name, the aware ones as a number."""

    plain: list[dict[str, Any]]
    aware: int


async def assess_impact(units: Iterable[Unit], ours: Container[str | None]) -> list[dict[str, Any]]:
    """Give, for each of these services that has something to lose, what would be lost.

    `ours` are the URIs of the deployment's own services: they register again by themselves.
    """
    found = []
    for unit in units:
        if unit.state is not State.RUNNING:
            continue
        options = unit.spec.options
        if isinstance(options, EventServiceOptions):
            subscribers = await subscribers_of(unit)
            if subscribers.plain or subscribers.aware:
                lost = {"lost": subscribers.plain, "aware": subscribers.aware}
                found.append({"service": unit.name, "kind": unit.spec.kind, **lost})
        elif isinstance(options, NameServerOptions) and options.storage == "memory":
            names = await _names_of(unit, ours)
            if names:
                found.append({"service": unit.name, "kind": unit.spec.kind, "names": names})
    return found


async def subscribers_of(unit: Unit) -> Subscribers:
    """Ask an event service who is subscribed; nobody if it doesn't answer."""
    try:
        rows = await unit.ask("subscriptions", ANSWER_TIMEOUT)
    except OSError:
        return Subscribers([], 0)
    keys = ("subscriber", "subjects", "patterns")
    plain = [{key: row[key] for key in keys} for row in rows if not row["aware"]]
    return Subscribers(plain, len(rows) - len(plain))


async def await_return(unit: Unit, expected: int) -> int:
    """Wait until so many aware subscribers are back, for a bounded time; give how many are.

    The event service has no way to tell, so it is asked, less and less often.
    """
    deadline = time.monotonic() + RETURN_TIMEOUT
    pause = FIRST_PAUSE
    while True:
        back = (await subscribers_of(unit)).aware if expected else 0
        if back >= expected or time.monotonic() >= deadline or unit.state is not State.RUNNING:
            return min(back, expected)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _names_of(unit: Unit, ours: Container[str | None]) -> list[str]:
    try:
        names = await unit.ask("names", ANSWER_TIMEOUT)
    except OSError:
        return []
    return sorted(name for name, uri in names.items() if uri not in ours)
