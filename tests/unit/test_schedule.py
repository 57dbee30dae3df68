"""When tasks are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroctl.config.load import load
from pyroctl.core.dependents import is_usable
from pyroctl.core.outcome import Outcome
from pyroctl.core.schedule.agenda import Clocks, Past, caught_up, last_multiple, next_due
from pyroctl.core.schedule.calendar import ScheduleError, next_time, parse
from pyroctl.core.schedule.interval import seconds
from pyroctl.core.spec import ServiceSpec, TaskOptions
from pyroctl.core.state import ServiceState, State
from pyroctl.errors import ConfigError

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
HOUR = 3600.0


def following(text, after, count=3, zone=AMSTERDAM):
    """The next times after a local one, as local times."""
    moment = datetime.fromisoformat(after).replace(tzinfo=zone)
    found = []
    for _ in range(count):
        moment = after_that(text, moment, zone)
        found.append(moment.astimezone(zone).isoformat(" ", "minutes"))
    return found


def after_that(text, moment, zone):
    found = next_time([parse(text)], moment, zone)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("03:00", "2026-05-01 03:00", ["2026-05-02 03:00+02:00", "2026-05-03 03:00+02:00"]),
        ("mon,thu 3:00", "2026-05-01 00:00", ["2026-05-04 03:00+02:00", "2026-05-07 03:00+02:00"]),
        ("fri-mon 23:59", "2026-05-02 12:00", ["2026-05-02 23:59+02:00", "2026-05-03 23:59+02:00"]),
        ("31 00:00", "2026-05-01 00:00", ["2026-05-31 00:00+02:00", "2026-07-31 00:00+02:00"]),
        ("1,last 06:30", "2028-02-01 06:30", ["2028-02-29 06:30+01:00", "2028-03-01 06:30+01:00"]),
        # skipped: at the change, once
        ("02:30", "2026-03-28 12:00", ["2026-03-29 03:00+02:00", "2026-03-30 02:30+02:00"]),
        # twice: the first one
        ("02:30", "2026-10-24 12:00", ["2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00"]),
    ],
)
def test_the_next_times(text, after, expected):
    """Local times on the days that are chosen, each once, whatever the clock does."""
    assert following(text, after, len(expected)) == expected


@given(
    st.integers(1_700_000_000, 1_830_000_000).map(lambda at: datetime.fromtimestamp(at, UTC)),
    st.integers(0, 23),
    st.integers(0, 59),
    st.sampled_from(["Europe/Amsterdam", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
)
def test_a_daily_time_comes_once_a_day(after, hour, minute, zone):
    """The next time is later, at most a day and the largest change of a clock away."""
    text = f"{hour}:{minute:02}"
    first = after_that(text, after, ZoneInfo(zone))
    second = after_that(text, first, ZoneInfo(zone))
    assert timedelta(0) < first - after <= timedelta(hours=25)
    assert timedelta(hours=22) < second - first <= timedelta(hours=26)


@pytest.mark.parametrize(
    "text",
    ["", "25:00", "24:00", "3", "3:5", "mon", "xyz 03:00", "32 03:00", "0 03:00", "mon 1 03:00",
     "mon,1 03:00", "5-1 03:00", "mon-3 03:00", "1-last 03:00", "03:00:61", "mon- 03:00"],
)  # fmt: skip
def test_what_is_not_a_time_is_refused(text):
    """With a hint that shows how times are written."""
    with pytest.raises(ScheduleError) as caught:
        parse(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30m", 1800), ("1h", 3600), ("1h30m", 5400), ("1d 2h", 93600), ("1.5h", 5400), ("90s", 90),
     ("", None), ("h", None), ("3", None), ("1m1h", None), ("-1h", None)],
)  # fmt: skip
def test_intervals(text, expected):
    """Days, hours, minutes and seconds, in this order."""
    assert seconds(text) == expected


def due(past, now, *, options=None, started=None):
    """When it is due, relative to now, by a wall clock that shows `now`."""
    options = options or TaskOptions(("x",), at=("03:00",))
    wall = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    past, _ = caught_up(past, options.at, wall)
    found = next_due(options, past, started, Clocks(wall, 5000.0), UTC)
    return None if found is None else found - wall


def handled(when, at=("03:00",)):
    return Past(at, datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp())


def test_what_was_missed_is_due_once():
    """However many times passed while nobody looked."""
    assert due(handled("2026-05-01 02:00"), "2026-05-04 12:00") < 0
    assert due(handled("2026-05-04 12:00"), "2026-05-04 12:00") == 15 * HOUR


def test_new_times_begin_now():
    """Neither a task without a past nor one with other times has missed anything."""
    assert due(Past(), "2026-05-04 12:00") == 15 * HOUR
    assert due(handled("2026-05-01 02:00", ("02:00",)), "2026-05-04 12:00") == 15 * HOUR


def test_a_clock_that_is_set_back_a_little_repeats_nothing():
    """Set back by days, it was wrong before: times begin now."""
    done = handled("2026-05-04 03:00")
    assert due(done, "2026-05-04 02:00") == 25 * HOUR
    assert due(done, "2025-05-04 02:00") == HOUR


def test_an_interval_doesn_t_care_for_the_wall_clock():
    """It counts from the start of the last run."""
    hourly = TaskOptions(("x",), every=HOUR)
    for now in ("2026-05-04 12:00", "2020-01-01 00:00"):
        assert due(Past(), now, options=hourly, started=4000.0) == HOUR - 1000
        assert due(Past(), now, options=hourly) == 0
    assert last_multiple(100.0, 10.0, 139.0) == 130.0
    assert due(Past(), "2026-05-04 12:00", options=TaskOptions(("x",))) is None


@pytest.mark.parametrize(
    ("state", "ended", "scheduled", "usable"),
    [
        (ServiceState(State.EXITED, outcome=Outcome(0)), Outcome(0), False, True),
        (ServiceState(State.EXITED), None, True, False),  # waits for its first time
        (ServiceState(State.RUNNING), Outcome(0), False, False),
        (ServiceState(State.RUNNING), Outcome(0), True, True),  # again
        (ServiceState(State.RUNNING), Outcome(1), True, False),
        (ServiceState(State.FAILED, outcome=Outcome(1)), Outcome(1), True, False),
        (ServiceState(State.STOPPED, outcome=Outcome(0)), Outcome(0), True, False),
    ],
)
def test_who_needs_a_task_waits_for_its_good_end(state, ended, scheduled, usable):
    """One with a schedule stays usable while it runs again."""
    spec = ServiceSpec("t", TaskOptions(("x",), every=HOUR if scheduled else None))
    assert is_usable(spec, state, ended) is usable


@pytest.mark.parametrize(
    ("lines", "place", "message"),
    [
        ("at = '25:00'", "4:1", "there is no time 25:00"),
        ("at = ['03:00', 'mon 40 3:00']", "4:1", "is not a time"),
        ("every = '1x'", "4:1", "is not an interval"),
        ("every = 0.5", "4:1", "must be at least 1, got 0.5"),
        ("every = true", "4:1", "expected a number, got true"),
        ("every = 60\nat = '03:00'", "5:1", "expected every or at, got both"),
        ("at = '03:00'\ntimezone = 'Europe/Amsterdm'", "5:1", "there is no time zone"),
        ("timezone = 'UTC'", "4:1", "requires at, which is not set"),
        ("restart = 'always'", "4:1", 'expected "on-failure" or "never"'),
        ("run_timeout = 0", "4:1", "must be more than 0, got 0"),
    ],
)
def test_a_schedule_that_can_t_be_is_a_fault(tmp_path, lines, place, message):
    """It has file, line and column."""
    file = tmp_path / "pyroctl.toml"
    file.write_text(f"[services.t]\nkind = 'task'\ncommand = 'x'\n{lines}\n")
    with pytest.raises(ConfigError) as caught:
        load(str(file), {}, "/")
    (fault,) = caught.value.diagnostics
    assert (f"{fault.line}:{fault.column}", message in fault.message) == (place, True)
