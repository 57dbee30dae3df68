"""Rings of fixed size: what goes in comes out, over gaps, restarts and full tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from pyroctl.core import series as rings
from pyroctl.core.series import SIZE, Series

if TYPE_CHECKING:
    from pyroctl.core.series import Window

START = 1_700_000_100
"""A time at which all tiers begin a cell."""


def empty() -> tuple[bytearray, Series]:
    buffer = bytearray(SIZE)
    return buffer, Series(memoryview(buffer))


def read(series: Series, start: float, end: float, points: int = 10_000) -> Window:
    found = series.read("es/rate", start, end, points)
    assert found is not None
    return found


def test_ten_minutes_are_kept_second_by_second() -> None:
    """The newest sample is the last point, and nothing is invented before the first."""
    _, series = empty()
    for second in range(90):
        series.add(START + second, {"es/rate": float(second)})
    found = read(series, START, START + 89)
    assert (found.start, found.step) == (START, 1)
    assert found.mean == [float(second) for second in range(90)]
    assert read(series, START - 30, START + 89).mean[:30] == [None] * 30


def test_coarse_tiers_have_mean_lowest_and_highest() -> None:
    """A peak of a second stays visible for a week."""
    _, series = empty()
    for second in range(600):
        series.add(START + second, {"es/rate": 1000.0 if second == 100 else 10.0})
    found = read(series, START - 6 * 86400, START + 600)
    assert found.step == 300
    assert (found.low[-2], found.high[-2]) == (10.0, 1000.0)
    assert found.mean[-2] is not None
    assert math.isclose(found.mean[-2], 10 + 990 / 300, rel_tol=1e-3)


def test_a_gap_is_no_sample_in_every_tier() -> None:
    """A page that was down for an hour draws nothing for it, whatever was in the ring before."""
    _, series = empty()
    for second in range(700):
        series.add(START + second, {"es/rate": 7.0})
    later = START + 700 + 3600
    series.add(later, {"es/rate": 9.0})
    assert read(series, later - 500, later).mean == [None] * 500 + [9.0]
    middle = read(series, START + 900, later - 300)
    assert middle.step == 15
    assert set(middle.mean) == {None}


def test_seldom_samples_are_no_gaps() -> None:
    """While nobody looks there is a sample every 15 seconds, which fills the seconds before it."""
    _, series = empty()
    for number in range(5):
        series.add(START + 15 * number, {"es/rate": float(number)})
    assert read(series, START, START + 60).mean == [0.0] + [
        float(number) for number in range(1, 5) for _ in range(15)
    ]


def test_the_next_process_continues() -> None:
    """What a killed process has written is there, and its newest coarse cell is completed."""
    buffer, series = empty()
    for second in range(100):
        series.add(START + second, {"es/rate": 10.0, "es/old": 1.0})
    following = Series(memoryview(buffer))
    assert not following.fresh
    for second in range(100, 300):
        following.add(START + second, {"es/rate": 10.0})
    assert read(following, START, START + 299).mean == [10.0] * 300
    week = read(following, START - 6 * 86400, START + 299)
    assert week.mean[-1] == 10.0
    assert set(following.names) == {"es/rate", "es/old"}


def test_a_buffer_of_another_layout_is_emptied() -> None:
    """It is not read as if it were ours."""
    series = Series(memoryview(bytearray(b"\xff" * SIZE)))
    assert series.fresh
    assert series.names == []
    series.add(START, {"es/rate": 1.0})
    assert read(series, START - 5, START).mean == [None] * 5 + [1.0]


def test_a_clock_that_is_set_back_begins_again_there() -> None:
    """What was recorded in what is now the future is forgotten."""
    _, series = empty()
    for second in range(100):
        series.add(START + second, {"es/rate": 1.0})
    series.add(START + 50, {"es/rate": 2.0})
    series.add(START + 51, {"es/rate": 3.0})
    assert read(series, START + 48, START + 60).mean == [1.0, 1.0, 2.0, 3.0]


def test_too_many_series_are_refused_and_counted() -> None:
    """The first ones stay as they are, until one has ended for a week."""
    _, series = empty()
    for number in range(rings.MOST_SERIES + 3):
        series.add(START, {f"s{number}/rate": 1.0})
    assert len(series.names) == rings.MOST_SERIES
    assert len(series.refused) == 3
    later = START + 8 * 86400
    series.add(later, {"new/rate": 5.0})
    assert "new/rate" in series.names


def test_points_are_put_together_as_asked() -> None:
    """A plot of 60 points gets 60 at most, each with the extremes of its part."""
    _, series = empty()
    for second in range(600):
        series.add(START + second, {"es/rate": float(second % 10)})
    found = read(series, START, START + 599, points=60)
    assert len(found.mean) <= 61
    assert (min(filter(None, found.high)), set(found.low[1:-1])) == (9.0, {0.0})


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 4000), st.floats(-1e6, 1e6, width=32)), max_size=40))
def test_whatever_comes_when_it_may_every_value_read_was_written(
    samples: list[tuple[int, float]],
) -> None:
    """Means lie between what was added; nothing of another series is seen."""
    _, series = empty()
    series.add(START, {"other/rate": 12345.0})
    for offset, value in sorted(samples, key=lambda each: each[0]):
        series.add(START + offset, {"es/rate": value})
    for span in (300, 9000, 600_000):
        found = series.read("es/rate", START + 4000 - span, START + 4000, 500)
        lowest, highest = (f((v for _, v in samples), default=0.0) for f in (min, max))
        for mean in found.mean if found is not None else ():
            assert mean is None or lowest - 1e-3 <= mean <= highest + max(1e-3, abs(highest) * 1e-6)
