"""docs/reference/notices.md lists exactly what `statistics` and `subscriptions` return."""

from __future__ import annotations

import re
from pathlib import Path

from pyro_events import EventService, Publisher, ReconnectingProxy, Subscriber

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "notices.md").read_text()


def documented(title: str) -> set[str]:
    """Return the keys in the table that follows these words."""
    table = PAGE.partition(f"\n{title}")[2].partition("\n| --- ")[2].partition("\n\n")[0]
    cells = [line.split(" | ")[0] for line in table.splitlines()[1:]]
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


def test_what_an_event_service_counts(tidy: None) -> None:
    """For itself, and for each subscriber."""
    with EventService(register=False) as es, Subscriber(es.uri) as sub:
        sub.subscribe("a")
        assert documented("`statistics()` of the event service") == set(es.statistics())
        (known,) = es.subscriptions()
        assert documented("`subscriptions()` of the event service") == set(known)


def test_what_helpers_count(tidy: None) -> None:
    """A publisher, a subscriber, and a proxy."""
    with Publisher() as publisher, Subscriber() as subscriber, ReconnectingProxy("PYRONAME:x") as x:
        assert documented("`Publisher.statistics()`") == set(publisher.statistics())
        assert documented("`Subscriber.statistics()`") == set(subscriber.statistics())
        assert documented("`ReconnectingProxy.statistics()`") == set(x.statistics())
