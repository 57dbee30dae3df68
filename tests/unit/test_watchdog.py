"""When a service counts as hung, and who asks it."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pyroctl.core.spec import WatchdogSpec
from pyroctl.core.watchdog import count_missed, verdict
from pyroctl.manager.health.health import Watchdog

SPEC = WatchdogSpec(every=2.0, timeout=2.0, failures=3)


def test_so_many_misses_in_a_row_are_a_hang() -> None:
    """Two are none; an answer in between begins anew; the reason has the number."""
    missed = 0
    for answered in (False, False, True, False, False):
        missed = count_missed(missed, 2.0, SPEC, answered=answered)
        assert verdict(missed, SPEC) is None
    missed = count_missed(missed, 2.0, SPEC, answered=False)
    assert verdict(missed, SPEC) == "did not answer 3 pings"
    assert verdict(1, WatchdogSpec(failures=1)) == "did not answer 1 ping"


@given(st.integers(0, 10), st.floats(3.1, 1e6))
def test_what_we_slept_through_ourselves_is_forgiven(missed: int, waited: float) -> None:
    """A time-out that is noticed far too late blames nobody, whatever came before."""
    assert count_missed(missed, waited, SPEC, answered=False) == 0


def test_it_asks_until_the_service_hangs_and_then_no_more() -> None:
    """One question after the other; `on_hung` is called once."""
    spec = WatchdogSpec(every=0.001, timeout=0.001, failures=3)
    answers = [True, False, True, False, False, False]
    said: list[str] = []

    async def probe(patience: float) -> bool:
        assert patience == spec.timeout
        return answers.pop(0)

    async def watch() -> None:
        done = asyncio.Event()

        def hung(reason: str) -> None:
            said.append(reason)
            done.set()

        Watchdog(spec, probe, hung, clock=lambda: 0.0)
        await asyncio.wait_for(done.wait(), 20)

    asyncio.run(watch())
    assert (said, answers) == (["did not answer 3 pings"], [])


def test_a_cancelled_watchdog_says_nothing() -> None:
    """Its service has stopped: nobody is asked any more."""

    async def watch() -> None:
        asked = asyncio.Event()

        async def probe(_: float) -> bool:
            asked.set()
            await asyncio.sleep(1000)
            return False

        watchdog = Watchdog(WatchdogSpec(0.001, 0.001, 1), probe, lambda _: 1 / 0)
        await asyncio.wait_for(asked.wait(), 20)
        watchdog.cancel()

    asyncio.run(watch())
