"""The delay before a restart."""

from hypothesis import given
from hypothesis import strategies as st

from pyroctl.core.lifecycle import JITTER, restart_delay

chances = st.floats(0, 1)


def test_the_delay_doubles_with_each_failure_up_to_the_longest() -> None:
    """Without jitter (chance 0.5) the delays are 0.1, 0.2, 0.4 … and then the longest."""
    delays = [restart_delay(failures, 0.1, 1.0, 0.5) for failures in range(1, 7)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_first_delay_of_zero_stays_zero() -> None:
    """`restart_delay = 0` means at once, however often."""
    assert {restart_delay(failures, 0.0, 30.0, 1.0) for failures in (1, 5, 1000)} == {0.0}


@given(st.integers(1, 10**6), st.floats(0, 100), st.floats(100, 1000), chances)
def test_jitter_stays_within_its_fraction_and_below_the_longest(
    failures: int, first: float, longest: float, chance: float
) -> None:
    """Whatever chance decides, the delay is near its middle and never above the longest."""
    middle = restart_delay(failures, first, longest, 0.5)
    delay = restart_delay(failures, first, longest, chance)
    assert middle * (1 - JITTER) - 1e-9 <= delay <= min(middle * (1 + JITTER) + 1e-9, longest)
