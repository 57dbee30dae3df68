"""What a manager decides about a service of the previous one: a function of values."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pyroctl.core.outcome import UNKNOWN, Outcome
from pyroctl.core.record import RunRecord, UnitRecord
from pyroctl.core.state import Exited, Restart, ServiceState, SessionEmpty, Start, State
from pyroctl.manager.deployment.reattach import CHANGED, decide

STAMP = 42
RUNS = (RunRecord(7, 4711, "/run/notify/laser", STAMP), RunRecord(8, 4712, "~", STAMP))
END = (Outcome(code=3), datetime(2026, 1, 31, tzinfo=UTC))


def record(state: State, run: int | None = 7, **more: object) -> UnitRecord:
    known = ServiceState(state, since=1.0, starts=(1.0,), failures=2, restarts=3)
    return UnitRecord(known, due=9.0, last_end=END, runs=RUNS, run=run, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING, State.STOPPING])
def test_a_process_that_lives_is_reattached_as_it_was(state: State) -> None:
    """Its state is what it was."""
    assert decide(record(state), [7, 8], STAMP) == (record(state), ())


@pytest.mark.parametrize("state", [State.STOPPED, State.BACKOFF, State.EXITED, State.FAILED])
def test_a_service_without_a_process_stays_as_it_was(state: State) -> None:
    """Its timer, if it has one, continues."""
    before = record(state, None)
    assert decide(before, [], STAMP) == (before, ())


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING, State.STOPPING])
def test_a_process_that_is_gone_has_ended_somehow(state: State) -> None:
    """This holds even if its successor lives; its earlier outcome is not the present one."""
    restored, events = decide(record(state, successor=8), [8], STAMP)
    assert (restored.state, restored.last_end) == (record(state).state, None)
    assert events == (Exited(UNKNOWN), SessionEmpty())


def test_a_start_that_waited_for_a_need_begins_again() -> None:
    """From `stopped`, without the timer of the first try; its restarts still count."""
    restored, events = decide(record(State.STARTING, None), [], STAMP)
    assert restored.state == ServiceState(since=1.0, restarts=3)
    assert (restored.due, events) == (None, (Start(),))


def test_a_changed_specification_needs_a_new_process() -> None:
    """The old one is reattached first, so that it can be stopped in order."""
    before = record(State.RUNNING)
    assert decide(before, [7, 8], STAMP + 1) == (before, (Restart(CHANGED),))
    before = record(State.BACKOFF, None)
    assert decide(before, [], STAMP + 1) == (before, ())
