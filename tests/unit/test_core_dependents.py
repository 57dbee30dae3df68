"""What happens to services when one that they need restarts or fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroctl.core.dependents import Dependent, affected, follow
from pyroctl.core.state import AfterStop, Restart, ServiceState, State, Stop

if TYPE_CHECKING:
    from pyroctl.core.key_types import OnNeeds

RUNNING = ServiceState(State.RUNNING)


def dependent(policy="restart", state=State.RUNNING, has_process=True):
    return Dependent("feed", policy, state, has_process)


def test_a_restart_is_followed_when_the_need_is_ready_again():
    """Until then the dependent keeps running, as a restart would find nothing to connect to."""
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
def test_a_service_without_an_old_process_needs_no_restart(state, has_process):
    """It gets a new one anyway, or is to stay down."""
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
def test_a_stop_is_followed_once_the_need_is_certainly_down(state, stops):
    """A job that has succeeded still satisfies its dependents."""
    assert bool(follow("base", state, [dependent("stop")])) is stops


def test_the_reason_is_passed_on():
    """A stopped dependent shows why its need went down."""
    state = ServiceState(State.FAILED, reason="exit code 3")
    assert follow("base", state, [dependent("stop")]) == {
        "feed": Stop("base went down: exit code 3")
    }


@given(st.sampled_from(State), st.sampled_from(AfterStop), st.sampled_from(State), st.booleans())
def test_keep_leaves_a_service_alone(state, then, own, has_process):
    """`keep`, the default, never restarts or stops it."""
    assert (
        follow("base", ServiceState(state, then=then), [dependent("keep", own, has_process)]) == {}
    )


def test_affected_services_are_known_beforehand():
    """The chain goes through all that follow in turn; a service that keeps ends it."""
    needs = {"a": (), "b": ("a",), "c": ("b",), "d": ("c",), "e": ("a",)}
    policies: dict[str, OnNeeds] = {
        "a": "keep",
        "b": "restart",
        "c": "stop",
        "d": "keep",
        "e": "keep",
    }
    assert affected(["a"], needs, policies) == {"a", "b", "c"}
