"""`statistics`, `subscriptions` and hooks match their types and docs/reference/notices.md."""

from __future__ import annotations

import re
from pathlib import Path

from pyro_events import Event, EventService, Publisher, ReconnectingProxy, Subscriber, types
from tests.events.client_fixtures import Recording

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "notices.md").read_text()


def documented(title: str) -> set[str]:
    """Return the keys in the table that follows these words."""
    table = PAGE.partition(f"\n{title}")[2].partition("\n| --- ")[2].partition("\n\n")[0]
    cells = [line.split(" | ")[0] for line in table.splitlines()[1:]]
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


def declared(shape: type) -> set[str]:
    """Return the keys of a TypedDict."""
    return set(shape.__annotations__)


def test_what_an_event_service_counts(tidy: None) -> None:
    """It counts for itself, and for each subscriber."""
    with EventService(register=False) as es, Recording(es.uri) as sub:
        sub.subscribe("a")
        keys = set(es.statistics())
        assert keys | {"handover_seconds"} == declared(types.EventServiceStatistics)
        assert keys == documented("`statistics()` of the event service")
        (known,) = es.subscriptions()
        assert set(known) == declared(types.SubscriberInfo)
        assert set(known) == documented("`subscriptions()` of the event service")


def test_what_helpers_count(tidy: None) -> None:
    """A publisher, a subscriber and a proxy have the documented counts."""
    with Publisher() as publisher, Subscriber() as subscriber, ReconnectingProxy("PYRONAME:x") as x:
        for helper, shape in (
            (publisher, types.PublisherStatistics),
            (subscriber, types.SubscriberStatistics),
            (x, types.ProxyStatistics),
        ):
            name = type(helper).__name__
            keys = set(helper.statistics())
            assert keys == declared(shape), name
            assert keys == documented(f"`{name}.statistics()`"), name


class Noting(Subscriber):
    """Keeps its notices, and ends at the first gap."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri, queue_size=1, when_full="drop-oldest")
        self.notices: list[dict[str, object]] = []

    def event(self, event: Event) -> None:
        """Ignore the event."""

    def connected(self, notice: types.ConnectionNotice) -> None:
        self.notices.append(dict(notice))

    def gap(self, notice: types.GapNotice) -> None:
        self.notices.append(dict(notice))
        self.abort()


def test_what_hooks_of_a_subscriber_receive(tidy: None) -> None:
    """They get the keys of their types; `gap` only the optional ones that apply."""
    with EventService(register=False) as es, Noting(es.uri) as sub:
        sub.subscribe("a")
        with Publisher(es.uri) as publisher:
            publisher.publish(["a"] * 5000, b"x" * 1000)
        sub.listen()
    connected, gap = sub.notices
    assert set(connected) == declared(types.ConnectionNotice)
    assert set(gap) == set(types.GapNotice.__required_keys__) | {"uri", "incarnation"}


def test_what_hooks_of_a_proxy_receive(tidy: None) -> None:
    """They get the keys of their type."""
    notices: list[dict[str, object]] = []

    class Proxy(ReconnectingProxy):
        def connected(self, notice: types.ProxyNotice) -> None:
            notices.append(dict(notice))

    with EventService(register=False) as es, Proxy(es.uri) as proxy:
        proxy.method("statistics")()
    assert [set(notice) for notice in notices] == [declared(types.ProxyNotice)]
