"""What a service's counters make of its life."""

from __future__ import annotations

from pyroctl.core import usage
from pyroctl.core.counters import RESTARTS, ServiceCounters
from pyroctl.core.lifecycle import step
from pyroctl.core.outcome import Outcome
from pyroctl.core.spec import CommandOptions, ServiceSpec
from pyroctl.core.state import (
    Event,
    Exited,
    Ready,
    Restart,
    ServiceState,
    SessionEmpty,
    Start,
    Stop,
    Timeout,
    Unhealthy,
)

SPEC = ServiceSpec("x", CommandOptions(("true",)), restart="always", restart_delay=1.0)


def live(*events: Event) -> ServiceCounters:
    counters, state = ServiceCounters(), ServiceState()
    for at, event in enumerate(events):
        after, _ = step(SPEC, state, event, float(at))
        counters.note(SPEC, event, state, after, float(at))
        state = after
    return counters


def test_a_restart_is_counted_by_its_reason() -> None:
    """A crash, a hang, too much memory, a needed service, a command: each has its count."""
    ended = (Exited(Outcome(code=1)), SessionEmpty(), Timeout(), Ready())
    killed = (Exited(Outcome(signal=9)), SessionEmpty(), Timeout(), Ready())
    counters = live(
        *(Start(), Ready()),
        *ended,
        *(Unhealthy("silent"), *killed),
        *ended,
        *(Unhealthy("big", answers=True, cause="memory"), *killed),
        *(Restart("its need ns has a new process"), *killed[:2], Ready()),
        *(Restart(), Exited(Outcome(code=0)), SessionEmpty(), Ready()),
        *(Stop(), Exited(Outcome(code=0)), SessionEmpty()),
    )
    wanted = {"crash": 2, "hung": 1, "memory": 1, "needs": 1, "command": 1}
    assert counters.restarts == {**dict.fromkeys(RESTARTS, 0), **wanted}
    assert counters.exits == {"failure": 2, "signal": 3, "success": 2}
    assert counters.ready_seconds == 1.0


def test_checks_are_counted_with_their_duration() -> None:
    """The histogram has one count more than bounds: for what took longer than the last."""
    counters = ServiceCounters()
    counters.checked(0.001, answered=True)
    counters.checked(99.0, answered=False)
    plain = counters.plain()["watchdog"]
    assert (plain["counts"][0], plain["counts"][-1], plain["failures"]) == (1, 1, 1)
    assert len(plain["counts"]) == len(plain["bounds"]) + 1


def test_each_verdict_about_usage_has_a_cause() -> None:
    """The words of `core.usage` lead to the right count."""
    spec = ServiceSpec("x", CommandOptions(("true",)), max_rss=1, max_cpu=1.0, window=1.0)
    before, big = usage.UsageSample(0.0, 0, {}), usage.UsageSample(9.0, 99, {})
    busy = usage.UsageSample(9.0, 0, {1: 9.0})
    for sample, excess, cause in (
        (big, usage.Excess(rss_since=0.0), "memory"),
        (busy, usage.Excess(cpu_since=0.0), "cpu"),
    ):
        reason = usage.verdict(spec, excess, before, sample)
        assert reason is not None
        assert usage.cause(reason) == cause
