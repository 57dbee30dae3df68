"""The queue of lifecycle events: bounded, in order, and losses are logged."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pyroctl.core.spec import EventServiceOptions
from pyroctl.core.state import State
from pyroctl.manager.deployment.state_events import BATCH, QUEUE_SIZE, EventSink, StateEvents

if TYPE_CHECKING:
    import pytest


class Service:
    """An event service as the sink sees it: accepts questions, or refuses them for a while."""

    def __init__(self, *, refusing: int = 0, bad: str = "") -> None:
        self.name = "es"
        self.state = State.STARTING
        self.spec = SimpleNamespace()
        self.published: list[str] = []
        self.asked = 0
        self._refusing = refusing
        self._bad = bad

    async def ask(self, question: str, patience: float, events: list[Any]) -> dict[str, Any]:
        assert question == "publish"
        assert len(events) <= BATCH
        await asyncio.sleep(0)
        self.asked += 1
        if self.asked <= self._refusing:
            raise ConnectionResetError("it is gone")
        self.published += [subject for subject, _ in events]
        return {"refused": [self._bad for subject, _ in events if subject == self._bad]}


def publish(service: Any, *subjects: str) -> EventSink:
    """Add these to a sink while the service starts, and publish them when it runs."""

    async def scenario() -> EventSink:
        sink = EventSink(service)
        for subject in subjects[:-1]:
            sink.add((subject, {}))
        assert sink.sender is None
        service.state = State.RUNNING
        sink.add((subjects[-1], {}))
        while sink.sender is not None:
            await asyncio.wait([sink.sender])
        return sink

    return asyncio.run(scenario())


def test_what_came_before_the_service_was_ready_is_published_in_order() -> None:
    """The events are sent in as few questions as possible."""
    service = Service()
    subjects = [str(number) for number in range(3 * BATCH)]
    sink = publish(service, *subjects)
    assert (service.published, service.asked, sink.dropped) == (subjects, 3, 0)


def test_what_was_refused_is_published_later_in_the_same_order() -> None:
    """A handover, or a crash in the middle, changes nothing."""
    service = Service(refusing=2)
    publish(service, "a", "b", "c")
    assert (service.published, service.asked) == (["a", "b", "c"], 3)


def test_too_many_lose_their_oldest(caplog: pytest.LogCaptureFixture) -> None:
    """The log reports that it happens, and in the end how many were lost."""
    service = Service()
    subjects = [str(number) for number in range(QUEUE_SIZE + 5)]
    sink = publish(service, *subjects)
    assert service.published == subjects[5:]
    assert sink.dropped == 5
    assert [record.message for record in caplog.records] == [
        "es: changes of state are not published: it isn't running",
        "es: 5 changes of state were not published",
    ]


def test_what_can_not_be_published_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """It does not delay the events behind it."""
    sink = publish(Service(bad="b"), "a", "b", "c")
    assert sink.dropped == 1
    assert "not published: b" in caplog.text


def test_it_waits_for_a_service_that_stops_in_between() -> None:
    """The sink sends no question while it is down."""

    async def scenario() -> object:
        service: Any = Service(refusing=1)
        service.state = State.RUNNING
        sink = EventSink(service)
        sink.add(("a", {}))
        await asyncio.sleep(0)
        service.state = State.STOPPING
        sink.add(("b", {}))
        assert sink.sender is not None
        await asyncio.wait([sink.sender])
        assert service.published == []
        service.state = State.RUNNING
        sink.add(("c", {}))
        assert sink.sender is not None
        await asyncio.wait([sink.sender])
        return service.published

    assert asyncio.run(scenario()) == ["a", "b", "c"]


def test_what_is_not_a_service_has_a_subject_of_its_own() -> None:
    """Its name begins with an underscore, as no service's does, and nobody takes it for one."""

    async def scenario() -> list[str]:
        es: Any = Service()
        es.spec.options, es.state = EventServiceOptions(), State.RUNNING
        events = StateEvents("lab", lambda: {"es": es})
        events.announce("_certificate", "renewed", {"certificate": "camera-1"})
        await events.flush(["es"])
        return list(es.published)

    assert asyncio.run(scenario()) == ["pyroctl.lab._certificate.renewed"]
