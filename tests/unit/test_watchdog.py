"""When a service counts as hung, and the watchdog that probes it."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pyroctl.core.spec import WatchdogSpec
from pyroctl.core.watchdog import count_missed, verdict
from pyroctl.manager.health.health import watch_answers

SPEC = WatchdogSpec(every=2.0, timeout=2.0, failures=3)


def test_three_misses_in_a_row_are_a_hang() -> None:
    """Two are not; an answer in between resets the count; the reason has the number."""
    missed = 0
    for answered in (False, False, True, False, False):
        missed = count_missed(missed, 2.0, SPEC, answered=answered)
        assert verdict(missed, SPEC) is None
    missed = count_missed(missed, 2.0, SPEC, answered=False)
    assert verdict(missed, SPEC) == "did not answer 3 pings"
    assert verdict(1, WatchdogSpec(failures=1)) == "did not answer 1 ping"


@given(st.integers(0, 10), st.floats(3.1, 1e6))
def test_misses_while_the_machine_slept_do_not_count(missed: int, waited: float) -> None:
    """A time-out that is noticed far too late resets the count."""
    assert count_missed(missed, waited, SPEC, answered=False) == 0


def test_it_probes_until_the_service_hangs_and_then_no_more() -> None:
    """Probes run one after the other; `on_hung` is called once."""
    spec = WatchdogSpec(every=0.001, timeout=0.001, failures=3)
    answers = [True, False, True, False, False, False]
    reasons: list[str] = []

    async def probe(patience: float) -> bool:
        assert patience == spec.timeout
        return answers.pop(0)

    async def watch() -> None:
        done = asyncio.Event()

        def hung(reason: str) -> None:
            reasons.append(reason)
            done.set()

        watching = asyncio.create_task(watch_answers(spec, probe, hung, clock=lambda: 0.0))
        await asyncio.wait_for(done.wait(), 20)
        await watching

    asyncio.run(watch())
    assert (reasons, answers) == (["did not answer 3 pings"], [])


def test_a_cancelled_watchdog_reports_nothing() -> None:
    """Its service has stopped: the probe under way is cancelled, without consequences."""
    reasons: list[str] = []

    async def watch() -> None:
        asked, given_up = asyncio.Event(), asyncio.Event()

        async def probe(_: float) -> bool:
            asked.set()
            try:
                return await asyncio.Future[bool]()
            finally:
                given_up.set()

        watching = watch_answers(WatchdogSpec(0.001, 0.001, 1), probe, reasons.append)
        watchdog = asyncio.create_task(watching)
        await asyncio.wait_for(asked.wait(), 20)
        watchdog.cancel()
        await asyncio.wait_for(given_up.wait(), 5)

    asyncio.run(watch())
    assert reasons == []


def test_a_watchdog_that_is_cancelled_between_two_probes_stops() -> None:
    """Another one with the same interval, begun later, shows that the time for it has passed."""
    asked: list[str] = []

    async def watch() -> None:
        paused, done = asyncio.Event(), asyncio.Event()

        async def first(_: float) -> bool:
            asked.append("first")
            asyncio.get_running_loop().call_soon(paused.set)
            return True

        async def second(_: float) -> bool:
            asked.append("second")
            if asked.count("second") == 3:
                done.set()
            return True

        spec = WatchdogSpec(0.01, 0.01, 1)
        watchdog = asyncio.create_task(watch_answers(spec, first, asked.append))
        await asyncio.wait_for(paused.wait(), 20)
        watchdog.cancel()
        asked.clear()
        other = asyncio.create_task(watch_answers(spec, second, asked.append))
        await asyncio.wait_for(done.wait(), 20)
        other.cancel()

    asyncio.run(watch())
    assert asked == ["second"] * 3
