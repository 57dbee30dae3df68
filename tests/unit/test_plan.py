"""Start and stop order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroctl.core import plan

LAB = {"ns": (), "es": ("ns",), "market": ("ns", "es"), "feed": ("market",), "clock": ()}


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Services that need only services before them, in a shuffled order."""
    names = draw(st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True, max_size=8))
    needs = {
        name: tuple(draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else ())
        for i, name in enumerate(names)
    }
    return {name: needs[name] for name in draw(st.permutations(names))}


def test_a_service_starts_with_all_that_it_needs_in_waves() -> None:
    """Starting one service takes the whole closure of its needs, and nothing else."""
    assert plan.start_waves(["feed"], LAB) == (("ns",), ("es",), ("market",), ("feed",))
    assert plan.start_waves(["clock", "es"], LAB) == (("ns", "clock"), ("es",))


def test_stopping_takes_dependents_first() -> None:
    """Stopping the event service first stops what depends on it, and leaves the rest alone."""
    assert plan.stop_waves(["es"], LAB) == (("feed",), ("market",), ("es",))
    assert plan.stop_waves(["feed"], LAB) == (("feed",),)


def test_a_cycle_is_named_completely() -> None:
    """The error lists each service and its need, around the whole cycle."""
    needs = {"a": ("b",), "b": ("c",), "c": ("a",), "d": ("a",)}
    assert plan.find_cycle(needs) == ("a", "b", "c", "a")
    with pytest.raises(ValueError, match="a → b → c → a"):
        plan.start_waves(["d"], needs)


@given(acyclic(), st.data())
def test_no_service_starts_before_its_needs_nor_stops_before_its_dependents(
    needs: dict[str, tuple[str, ...]], data: st.DataObject
) -> None:
    """In every acyclic deployment both orders respect every need, and list each service once."""
    names = data.draw(st.lists(st.sampled_from(sorted(needs)))) if needs else []
    assert plan.find_cycle(needs) == ()
    started = [name for wave in plan.start_waves(names, needs) for name in wave]
    assert sorted(started) == sorted(plan.closure(names, needs))
    for name in started:
        assert all(started.index(need) < started.index(name) for need in needs[name])
    stopped = [name for wave in plan.stop_waves(names, needs) for name in wave]
    assert sorted(stopped) == sorted(plan.closure(names, plan.reverse(needs)))
    for name in stopped:
        assert all(stopped.index(n) > stopped.index(name) for n in needs[name] if n in stopped)


@given(acyclic(), st.data())
def test_a_need_that_closes_a_cycle_is_always_found(
    needs: dict[str, tuple[str, ...]], data: st.DataObject
) -> None:
    """One added cycle is found in any plan, and what is found is a cycle."""
    if not needs:
        return
    name = data.draw(st.sampled_from(sorted(needs)))
    reached = sorted(plan.closure([name], needs))
    needs[reached[0]] = (*needs[reached[0]], name)
    circle = plan.find_cycle(needs)
    assert circle[0] == circle[-1]
    assert all(b in needs[a] for a, b in pairwise(circle))
