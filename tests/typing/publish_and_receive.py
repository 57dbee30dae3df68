"""What type checkers accept of publishers, subscribers and event services; run by `make check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from pyro_events import (
    EVENTSERVICE_NAME,
    AsyncSubscriber,
    Event,
    EventService,
    Publisher,
    Subscriber,
)
from pyro_events.errors import NotPublished, Unreachable
from pyro_events.types import (
    EventServiceStatistics,
    LostSubscriber,
    PublisherStatistics,
    SubscriberInfo,
    SubscriberStatistics,
    WhenFull,
)

if TYPE_CHECKING:
    from pyro_events.types import (
        ConnectionNotice,
        GapNotice,
    )

assert_type(EVENTSERVICE_NAME, str)


def publish(es: str | None) -> None:
    """One subject or several, any message, and only bytes of the right keyword."""
    with Publisher(es, ident="word", max_pending=10, max_pending_bytes=1, timeout=1) as pub:
        assert_type(pub, Publisher)
        pub.publish("subject", object())
        pub.post(["one", "two"], b"bytes", opaque=True)
        pub.publish(("one", "two"), None)
        pub.publish(1, None)  # type: ignore[arg-type]
        pub.publish("subject", None, True)  # type: ignore[call-arg]
        pub.flush(1.5)
        assert_type(pub.statistics(), PublisherStatistics)
        assert_type(pub.statistics()["pending_bytes"], int)
        pub.statistics()["lost"]  # type: ignore[typeddict-item]
    try:
        pub.flush()
    except NotPublished as error:
        assert_type(error.count, int)
    except Unreachable:
        pass


class Quotes(Subscriber):
    """Overrides everything that there is to override."""

    def event(self, event: Event) -> None:
        """An event has three attributes."""
        assert_type(event.subject, str)
        assert_type(event.msg, Any)
        assert_type(event.time, float)
        self.abort()

    def connected(self, notice: ConnectionNotice) -> None:
        """A connection's notice has every key."""
        assert_type(notice["incarnation"], str)
        assert_type(notice["reason"], str | None)

    def gap(self, notice: GapNotice) -> None:
        """The notice of a gap may lack some."""
        assert_type(notice["missed"], int | None)
        assert_type(notice.get("pattern"), str | None)


class Wrong(Subscriber):
    """Overrides a hook for notices that it will not receive."""

    def disconnected(self, notice: GapNotice) -> None:  # type: ignore[override]
        """Never called like that."""


def receive(when_full: WhenFull) -> None:
    """Options, subscriptions and counts."""
    with Quotes(delivery="callback", host="::", natport=1, when_full=when_full) as sub:
        assert_type(sub, Quotes)
        sub.subscribe("subject")
        sub.subscribeMatch([r"sub.*", "x"])
        sub.unsubscribe(("subject",))
        sub.setThreading(True)
        sub.listen()
        assert_type(sub.statistics(), SubscriberStatistics)
    Quotes(delivery="post")  # type: ignore[arg-type]
    Quotes(when_full="wait")  # type: ignore[arg-type]
    Quotes(None, "word")  # type: ignore[call-arg]


async def receive_in_a_loop() -> None:
    """The same arguments, and an iteration over events."""
    async with AsyncSubscriber(name="x", once=True, queue_size=1) as sub:
        assert_type(sub, AsyncSubscriber)
        await sub.subscribe("subject")
        async for event in sub:
            assert_type(event, Event)
    AsyncSubscriber(delivery="post")  # type: ignore[arg-type]


def serve() -> None:
    """What it counts, and whom it serves."""
    with EventService(port=0, register=False) as es:
        assert_type(es, EventService)
        assert_type(es.uri, str)
        assert_type(es.registered, str | None)
        assert_type(es.wait_ready(1), bool)
        assert_type(es.statistics(), EventServiceStatistics)
        assert_type(es.statistics()["lost"], list[LostSubscriber])
        assert_type(es.subscriptions(), list[SubscriberInfo])
        assert_type(es.subscriptions()[0]["when_full"], WhenFull)
