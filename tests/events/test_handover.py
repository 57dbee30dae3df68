"""A hand-over: another process goes on with everything, and nobody notices."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.events.client_fixtures import Recording
from tests.events.held_service import Flood
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.held_service import HeldService

    Held = Callable[..., HeldService]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("delivery", ["stream", "callback"])
def test_twenty_handovers_at_full_speed(held: Held, delivery: str) -> None:
    """Ten subscribers: none lost, doubled, or out of order; no gap, no hook, one incarnation."""
    es = held()
    incarnation = es.ask("ping")["incarnation"]
    with ExitStack() as stack:
        subscribers = [stack.enter_context(Recording(es.uri, delivery=delivery)) for _ in range(10)]
        for each in subscribers:
            each.subscribe("flood")
            each.start()
        flood = stack.enter_context(Flood(es.uri))
        for _ in range(20):
            seen = [len(each.events) for each in subscribers]
            eventually(
                lambda seen=seen: all(
                    len(s.events) > n for s, n in zip(subscribers, seen, strict=True)
                )
            )
            es.hand_over()
            assert es.ask("ping")["incarnation"] == incarnation
        count = flood.stop()
        for each in subscribers:
            first = each.wait(1)[0]
            assert each.wait(count - first, 60) == list(range(first, count))
            assert each.told() == ["connected"]
        statistics = es.ask("statistics")
        assert (statistics["published"], statistics["dropped"]) == (count, 0)
