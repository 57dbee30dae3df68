"""What becomes of services when one that they need is restarted, or fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroctl.core.dependents import Dependent, affected, follow
from pyroctl.core.state import AfterStop, Restart, ServiceState, State, Stop

if TYPE_CHECKING:
    from pyroctl.core.spec import OnNeeds

RUNNING = ServiceState(State.RUNNING)


def dependent(policy="restart", state=State.RUNNING, has_process=True):
    return Dependent("feed", policy, state, has_process)


def test_a_restart_is_followed_when_the_need_is_ready_again():
    """Not before: until then the dependent goes on, and there is nothing to start it against."""
    for state in State:
        found = follow("base", ServiceState(state), [dependent()])
        expected = {"feed": Restart("base was restarted")} if state is State.RUNNING else {}
        assert found == expected, state


@pytest.mark.parametrize(
    ("state", "has_process"),
    [
        (State.STARTING, False),
        (State.STOPPING, True),
        (State.BACKOFF, False),
        (State.STOPPED, False),
        (State.EXITED, False),
        (State.FAILED, False),
    ],
)
def test_who_has_no_process_of_before_needs_no_restart(state, has_process):
    """It gets a fresh one anyway, or is to stay down."""
    assert follow("base", RUNNING, [dependent("restart", state, has_process)]) == {}


@pytest.mark.parametrize(
    ("state", "stops"),
    [
        (ServiceState(State.STOPPING, then=AfterStop.JUDGE), False),
        (ServiceState(State.EXITED), False),
        (ServiceState(State.RUNNING), False),
        (ServiceState(State.STOPPING, then=AfterStop.START_AGAIN), True),
        (ServiceState(State.STOPPING, then=AfterStop.STAY_DOWN), True),
        (ServiceState(State.BACKOFF), True),
        (ServiceState(State.STARTING), True),
        (ServiceState(State.STOPPED), True),
        (ServiceState(State.FAILED), True),
    ],
)
def test_a_stop_is_followed_once_it_is_clear_that_the_need_is_away(state, stops):
    """A job that has ended well is still good for those that need it."""
    assert bool(follow("base", state, [dependent("stop")])) is stops


def test_the_reason_is_passed_on():
    """Who is stopped is told why the need went down."""
    state = ServiceState(State.FAILED, reason="exit code 3")
    assert follow("base", state, [dependent("stop")]) == {
        "feed": Stop("base went down: exit code 3")
    }


@given(st.sampled_from(State), st.sampled_from(AfterStop), st.sampled_from(State), st.booleans())
def test_who_keeps_is_left_alone_whatever_happens(state, then, own, has_process):
    """`keep` is the default, and means it."""
    assert (
        follow("base", ServiceState(state, then=then), [dependent("keep", own, has_process)]) == {}
    )


def test_who_would_be_affected_is_known_beforehand():
    """Through all that follow in turn; a service that keeps ends the chain."""
    needs = {"a": (), "b": ("a",), "c": ("b",), "d": ("c",), "e": ("a",)}
    policies: dict[str, OnNeeds] = {
        "a": "keep",
        "b": "restart",
        "c": "stop",
        "d": "keep",
        "e": "keep",
    }
    assert affected(["a"], needs, policies) == {"a", "b", "c"}
