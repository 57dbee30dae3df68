"""How a service's last runs ended."""

from __future__ import annotations

from datetime import UTC, datetime

from pyroctl.core.history import KEPT, Ending, conclude, remember
from pyroctl.core.outcome import Outcome
from pyroctl.core.state import State

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def ending(pid):
    return Ending(WHEN, pid, Outcome(code=1), "exit code 1", 2.0)


def test_the_last_twenty_are_kept():
    """The oldest are dropped, and the order is chronological."""
    history: tuple[Ending, ...] = ()
    for pid in range(50):
        history = remember(history, ending(pid))
    assert [each.pid for each in history] == list(range(50 - KEPT, 50))


def test_what_followed_is_noted_once():
    """Only the first state after a run belongs to its end."""
    history = conclude(remember((), ending(1)), State.BACKOFF)
    assert conclude(history, State.STARTING) == history
    assert [each.then for each in history] == [State.BACKOFF]
    assert conclude((), State.STOPPED) == ()


def test_a_program_whose_work_this_was_exits_alike():
    """A signal is 128 plus its number, as in a shell; a failure is never 0."""
    assert Outcome(code=3).exit_code == 3
    assert Outcome(signal=9).exit_code == 137
    assert Outcome(trouble="cannot start").exit_code == 1
    assert Outcome(code=0, trouble="not ready within 3 s").exit_code == 1


def test_a_kill_of_ours_is_not_taken_for_the_systems():
    """Only a SIGKILL that we did not send may come from the kernel, out of memory."""
    assert Outcome(signal=9).describe() == "killed by SIGKILL, out of memory?"
    assert Outcome(signal=9, ended_by_us=True).describe() == "killed by SIGKILL"
    assert Outcome(signal=11).describe() == "killed by SIGSEGV"
    assert Outcome(signal=40).describe() == "killed by signal 40"
