"""What a task has behind it, and when it is due next. Pure.

Wall-clock times are seconds since the epoch. An interval counts the monotonic clock, so it doesn't
matter to it when somebody sets the wall clock; a time of the day means what the wall clock shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyroctl.core.schedule.calendar import next_time, parse

if TYPE_CHECKING:
    from datetime import tzinfo

    from pyroctl.core.options.program import TaskOptions

REPEATED = 3 * 3600.0
"""Seconds: a wall clock that is set back by less doesn't make a time come twice, as with cron."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of the runs of a task; outlives the manager."""

    at: tuple[str, ...] = ()
    """The times for which `handled` counts."""
    handled: float | None = None
    """All times of the day until then have been dealt with; None: none yet."""
    last_run: float | None = None
    """When it was started."""
    last_end: float | None = None
    succeeded: bool | None = None
    """How the last run ended; None if that isn't known, or not yet."""
    result: str = ""
    """The same in words."""
    refused: int = 0
    """How often it was due while it was still running."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The time, by both clocks."""

    wall: float
    monotonic: float


def caught_up(past: Past, at: tuple[str, ...], now: float) -> tuple[Past, bool]:
    """Return the past as it counts now, and whether that is different.

    Times that are new begin now; so do all after a wall clock was set back by hours.
    """
    known = past.handled is not None and past.at == at and past.handled - now < REPEATED
    if known or not at:
        return past, False
    return replace(past, at=at, handled=now), True


def next_due(
    options: TaskOptions, past: Past, started: float | None, now: Clocks, zone: tzinfo
) -> float | None:
    """Return when a task is due by the wall clock, which may be over; None: it has no schedule.

    `started` is the monotonic time from which its interval counts: the last start, or the last
    time that it was due. None: it is due at once.
    """
    if options.every is not None:
        return now.wall if started is None else now.wall + started + options.every - now.monotonic
    if not options.at or past.handled is None:
        return None
    after = datetime.fromtimestamp(past.handled, UTC)
    found = next_time(map(parse, options.at), after, zone)
    return None if found is None else found.timestamp()


def last_multiple(started: float, every: float, now: float) -> float:
    """Return the last time until now that an interval was over which began at `started`."""
    return started + every * math.floor(max(0.0, now - started) / every)
