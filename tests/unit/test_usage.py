"""When a service exceeds its limits."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pyroctl.core.spec import CommandOptions, ServiceSpec
from pyroctl.core.usage import Excess, UsageSample, compare, is_limited, load, pause, verdict

SPEC = ServiceSpec("x", CommandOptions(("x",)), max_rss=1000, max_cpu=50.0, window=2.0)


def judge(looks, spec=SPEC):
    """Return the verdict after each sample."""
    excess, found = Excess(), []
    for before, now in itertools.pairwise(looks):
        excess = compare(spec, excess, before, now)
        found.append(verdict(spec, excess, before, now))
    return found


def looks(*taken):
    return [UsageSample(float(at), rss, {1: cpu}) for at, (rss, cpu) in enumerate(taken)]


def test_too_much_memory_for_the_whole_window_is_too_much():
    """The reason has the usage and the limit."""
    verdicts = judge(looks((0, 0), (2000, 0), (2000, 0), (2_000_000, 0)))
    assert verdicts == [None, None, "used 2.0 MB of memory, more than max_rss (0.0 MB)"]


def test_one_sample_within_the_limit_resets_the_window():
    """A peak is not a leak."""
    assert judge(looks((0, 0), (2000, 0), (2000, 0), (1000, 0), (2000, 0), (2000, 0))) == [None] * 5


def test_processor_time_counts_from_the_sample_before():
    """Two seconds at 90 percent are detected at the third sample."""
    assert judge(looks((0, 0.0), (0, 0.9), (0, 1.8))) == [
        None,
        "used 90 % of a processor, more than max_cpu (50 %)",
    ]
    assert judge(looks((0, 0.0), (0, 0.4), (0, 0.8), (0, 1.2))) == [None] * 3


def test_processes_that_come_and_go_are_counted_for_themselves():
    """A new process has used all its time since the last sample; an ended one counts as none."""
    before, now = UsageSample(0.0, 0, {1: 5.0, 2: 7.0}), UsageSample(2.0, 0, {1: 5.5, 3: 0.5})
    assert load(before, now) == 50.0
    assert load(now, now) == 0.0


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 0.5)), max_size=20))
def test_a_service_within_the_limits_is_never_ended(taken):
    """Usage below the limits has no consequence."""
    total, found = 0.0, []
    for rss, cpu in taken:
        total += cpu * 0.99
        found.append((rss, total))
    assert set(judge(looks(*found))) <= {None}


def test_samples_are_only_as_frequent_as_the_window_requires():
    """A window has five samples, at most ten a second, at least one in ten seconds."""
    assert [pause(window) for window in (0.01, 5.0, 3600.0)] == [0.1, 1.0, 10.0]
    assert not is_limited(ServiceSpec("x", CommandOptions(("x",))))
    assert is_limited(SPEC)
