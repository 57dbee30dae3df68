"""When certificates are renewed and warned of, by a clock that the test advances."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from pyroctl.certs.lifetime import Lifetime
from pyroctl.certs.renewal import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    LONGEST_SLEEP,
    Attempts,
    is_due,
    next_time,
    state_of,
)
from pyroctl.manager.wall_clock import WallClockTimer

BEGIN = datetime(2027, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = Lifetime(BEGIN, BEGIN + 360 * DAY)
SHORT = Lifetime(BEGIN, BEGIN + 6 * DAY)


@pytest.mark.parametrize(
    ("lifetime", "day", "state", "due"),
    [
        (YEAR, 239, "valid", False),
        (YEAR, 240, "valid", True),
        (YEAR, 329, "valid", True),
        (YEAR, 330, "due", True),
        (YEAR, 353, "urgent", True),
        (YEAR, 360, "expired", True),
        (SHORT, 3, "valid", False),
        (SHORT, 4, "due", True),
        (SHORT, 5, "urgent", True),
    ],
)
def test_two_thirds_and_the_last_30_and_7_days(lifetime, day, state, due):
    """A short life has its warnings in its last third."""
    now = BEGIN + day * DAY
    assert (state_of(lifetime, now), is_due(lifetime, now, None)) == (state, due)


def test_attempts_back_off():
    """From a minute to six hours; a clock that goes back doesn't make it wait for longer."""
    now = BEGIN + 300 * DAY
    attempts, pauses = None, []
    for _ in range(12):
        attempts = Attempts.failed(attempts, now)
        pauses.append(attempts.next - now)
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    assert attempts is not None
    assert not is_due(YEAR, now, attempts)
    assert is_due(YEAR, attempts.next, attempts)
    assert is_due(YEAR, now - 30 * DAY, attempts)


def test_one_deadline_for_all():
    """The next renewal, warning or attempt; without any, a day later."""
    now = BEGIN + 10 * DAY
    assert next_time({}, {}, now) == now + LONGEST_SLEEP
    assert next_time({"a": YEAR}, {}, now) == BEGIN + 240 * DAY
    assert next_time({"a": YEAR}, {}, BEGIN + 240 * DAY) == BEGIN + 330 * DAY
    attempts = {"a": Attempts(1, BEGIN + 241 * DAY)}
    assert next_time({"a": YEAR}, attempts, BEGIN + 240 * DAY) == BEGIN + 241 * DAY


def test_a_timer_of_the_wall_clock():
    """It ends at its time, also if that is past, and not after it was closed."""

    async def scenario():
        ended = asyncio.Event()
        timer = WallClockTimer(ended.set)
        for when in (time.time() + 0.05, 0.0):
            timer.set(when)
            await asyncio.wait_for(ended.wait(), 20)
            assert time.time() >= when
            ended.clear()
        timer.set(time.time() + 3600)
        timer.close()
        assert not ended.is_set()

    asyncio.run(scenario())
