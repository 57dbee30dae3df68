"""After kill -9 clients reconnect, and are notified of a gap if and only if there was one."""

from __future__ import annotations

import contextlib
import re
import resource
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from Pyro5.errors import CommunicationError

from pyro_events import Publisher
from tests.events.client_fixtures import Recording, all_get_more
from tests.events.held_service import Flood
from tests.events.service_harness import AwareRecorder, Recorder, WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.events.held_service import HeldService
    from tests.events.service_harness import Stock

    Held = Callable[..., HeldService]
    Client = Callable[..., WireClient]


def descriptors(es: HeldService) -> int:
    from pathlib import Path

    assert es.process is not None
    return len(list(Path(f"/proc/{es.process.pid}/fd").iterdir()))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("times", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_in_a_row(held: Held, times: int) -> None:
    """No subscriber is forgotten; events received and events missed add up to all published."""
    es = held()
    with ExitStack() as stack:
        subscribers = [stack.enter_context(Recording(es.uri)) for _ in range(10)]
        for each in subscribers:
            each.subscribe("flood")
            each.start()
        flood = stack.enter_context(Flood(es.uri))
        open_at_first = 0
        for _ in range(times):
            all_get_more(subscribers)
            es.crash()
            assert es.await_return() == {"expected": 10, "back": 10}
            open_at_first = open_at_first or descriptors(es)
        count = flood.stop()
        for each in subscribers:
            eventually(lambda each=each: len(each.events) + missed(each) >= count, deadline=60)
            messages = each.messages()
            assert messages == sorted(set(messages))
            assert len(messages) + missed(each) == count
            assert all(gap["missed"] and gap["reason"] == "restarted" for gap in each.gaps())
        eventually(lambda: descriptors(es) <= open_at_first)


def missed(subscriber: Recording) -> int:
    return sum(gap["missed"] or 0 for gap in subscriber.gaps())


def test_no_gap_without_a_loss(held: Held) -> None:
    """A subscriber that has everything gets no gap, by stream or callback, however often."""
    es = held()
    with (
        Recording(es.uri) as stream,
        Recording(es.uri, delivery="callback") as callback,
        Publisher(es.uri) as publisher,
    ):
        for each in (stream, callback):
            each.subscribe("a")
            each.start()
        for number in range(3):
            publisher.publish("a", number)
            for each in (stream, callback):
                each.wait(number + 1)
            eventually(lambda: es.ask("statistics")["queued"] == 0)
            es.crash()
            es.await_return()
        publisher.publish("a", 3)
        for each in (stream, callback):
            assert each.wait(4) == [0, 1, 2, 3]
            assert each.gaps() == []
            assert each.hook_names().count("connected") == 4


def test_the_number_of_the_gap_is_exact(held: Held, client: Client) -> None:
    """It counts events queued, under way, and dropped by a full queue but unreported."""
    es = held()
    first = client(es)
    before = first.attach("s", ["a"], queue_size=2, when_full="drop-newest")["incarnation"]
    with proxy(es.uri) as remote:
        for number in range(20):
            remote.publish("a", number)
    came = len(first.events(1, ack=False))
    es.crash()
    second = client(es)
    answer = second.attach("s", ["a"], last=came, last_incarnation=before)
    assert (answer["resumed"], answer["missed"]) == (True, 20 - came)
    with proxy(es.uri) as remote:
        remote.publish("a", "next")
    first_number, events = second.push()
    assert (first_number, len(events)) == (answer["next"], 1)


def test_dropped_events_are_reported_once(held: Held, client: Client) -> None:
    """The new process does not report again what the old one had reported as dropped."""
    es = held()
    first = client(es)
    before = first.attach("s", ["a"], queue_size=1, when_full="drop-newest")["incarnation"]
    with proxy(es.uri) as remote:
        for number in range(20):
            remote.publish("a", number)
    last = reported = 0
    while last + reported < 20:
        start, events = first.push()
        if start is None:
            reported += events["missed"]
        else:
            last = start + len(events) - 1
            first.ack(last)
    assert reported > 0
    eventually(lambda: es.ask("statistics")["queued"] == 0)
    es.crash()
    answer = client(es).attach("s", ["a"], last=last, last_incarnation=before)
    assert (answer["resumed"], answer["missed"]) == (True, 0)


def test_what_is_published_before_it_is_back_waits(held: Held, client: Client) -> None:
    """Its mailbox exists from the beginning."""
    es = held()
    before = client(es).attach("s", ["a"], ["b.*"])["incarnation"]
    es.crash()
    with proxy(es.uri) as remote:
        remote.publish(["a", "bcd"], 1)
    es.crash()
    with proxy(es.uri) as remote:
        remote.publish("a", 2)
    second = client(es)
    answer = second.attach("s", ["a"], ["b.*"], last=0, last_incarnation=before)
    assert (answer["resumed"], answer["missed"], answer["next"]) == (True, 2, 3)
    assert len(second.events(1)) == 1


def test_a_retry_is_not_a_second_copy(held: Held, client: Client) -> None:
    """A batch that the killed process had taken is known, even if the acknowledgement was lost."""
    es = held()
    reader = client(es)
    before = reader.attach("s", ["a"])["incarnation"]
    batch = [[["a"], b"\x01", False], [["a"], b"\x02", False]]
    client(es).call("publish_batch", "me", 1, batch)
    reader.events(2)
    es.crash()
    again = client(es)
    again.attach("s", ["a"], last=2, last_incarnation=before)
    client(es).call("publish_batch", "me", 1, [*batch, [["a"], b"\x03", False]])
    assert [event[2] for event in again.events(1)] == [b"\x03"]


def test_lost_plain_subscribers_are_named(held: Held, stock: Stock) -> None:
    """The log and the statistics list them, over a second crash, until a planned restart."""
    es = held("-N")
    uri = stock().register(Recorder())
    with proxy(es.uri) as remote:
        remote.subscribe(["a", "b"], uri)
        remote.subscribeMatch("c.*", uri)
    eventually(lambda: es.ask("subscriptions")[0]["state"] == "connected")
    assert es.ask("statistics")["lost"] == []
    lost = [{"subscriber": uri, "subjects": ["a", "b"], "patterns": ["c.*"]}]
    for _ in range(2):
        es.crash()
        assert es.ask("statistics")["lost"] == lost
        assert es.ask("returned") == {"expected": 0, "back": 0}
    assert es.log.read_text().count(f"subscriber {uri} was lost in a crash") == 1
    es.restart()
    assert es.ask("statistics")["lost"] == []


def test_aware_objects_are_notified_of_the_crash(held: Held, stock: Stock) -> None:
    """They get `restarted` with the reason, and a gap if an `event` was never answered."""
    es, aware = held(), AwareRecorder()
    uri = stock().register(aware)
    with proxy(es.uri) as remote:
        remote.subscribe("a", uri)
        eventually(lambda: es.ask("subscriptions")[0]["aware"])
        remote.publish("a", 1)
        eventually(lambda: es.ask("statistics")["delivered"] == 1)
    es.crash()
    eventually(lambda: aware.notices)
    with proxy(es.uri) as remote:
        remote.subscribe("a", uri)
        es.await_return()
        aware.hook = lambda event: es.kill() if es.process else None
        with contextlib.suppress(CommunicationError):  # it dies before or after the answer
            remote.publish("a", 2)
        eventually(lambda: es.process is None)
        aware.hook = lambda event: None
    es.start()
    eventually(lambda: len(aware.notices) == 2)
    with proxy(es.uri) as remote:
        remote.subscribe("a", uri)
        remote.publish("a", 3)
        eventually(lambda: aware.messages() == [1, 2, 3])
    eventually(lambda: len(aware.notices) == 3)
    notices = [(notice["kind"], notice["reason"]) for notice in aware.notices]
    assert notices == [("restarted", "crash"), ("restarted", "crash"), ("gap", "restarted")]
    assert aware.notices[2]["missed"] is None


def test_clients_that_have_left_are_not_expected(held: Held) -> None:
    """Closed subscribers and cancelled subscriptions leave the roster."""
    es = held()
    with Recording(es.uri) as stays:
        stays.subscribe(["a", "b"])
        with Recording(es.uri) as goes:
            goes.subscribe("a")
        eventually(lambda: len(es.ask("subscriptions")) == 1)
        stays.unsubscribe("b")
        es.crash()
        (only,) = es.ask("subscriptions")
        assert only["subjects"] == ["a"]
        assert es.ask("statistics")["lost"] == []
        assert es.await_return() == {"expected": 1, "back": 1}


def test_a_corrupt_journal_is_reported(held: Held) -> None:
    """The service starts without it; helpers reconnect, and what they missed is unknown."""
    es = held("-N")
    with Recording(es.uri) as subscriber:
        subscriber.subscribe("a")
        subscriber.start()
        es.kill()
        roster = es.state / "roster"
        data = roster.read_bytes()
        roster.write_bytes(data[:20] + b"?" + data[21:])
        es.start()
        eventually(subscriber.gaps)
        assert [gap["missed"] for gap in subscriber.gaps()] == [None]
    assert re.search(r"roster can't be used, starting without it: .* at byte", es.log.read_text())


def test_a_journal_that_cannot_be_written_is_given_up(held: Held) -> None:
    """It is logged once and counted; the service continues, and a crash is an unknown gap."""
    es = held("-N")
    assert es.process is not None
    resource.prlimit(es.process.pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    with Recording(es.uri) as subscriber, Publisher(es.uri) as publisher:
        subscriber.subscribe(["a", "b"])
        subscriber.start()
        subscriber.subscribe("c")
        publisher.publish("a", 1)
        assert subscriber.wait(1) == [1]
        assert es.ask("statistics")["roster_errors"] == 1
        assert es.log.read_text().count("can't keep the roster") == 1
        assert left(es.state) == []
        es.crash()
        eventually(subscriber.gaps)
        assert [gap["missed"] for gap in subscriber.gaps()] == [None]


def left(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_an_orderly_end_leaves_an_empty_roster(held: Held, stock: Stock) -> None:
    """All clients were notified of the end; the next process begins with an empty roster."""
    es = held()
    with proxy(es.uri) as remote:
        remote.subscribe("a", stock().register(Recorder()))
    es.close()
    assert left(es.state) == []


def test_the_roster_keeps_up_with_many_clients(held: Held, client: Client) -> None:
    """The journal doesn't grow with them, and is right at the end."""
    es = held()
    stays = client(es)
    stays.attach("stays", ["a"], name="stays")
    visitor = client(es)
    for number in range(3000):
        visitor.attach(f"visitor {number}", [f"subject {number}"])
        visitor.call("detach")
    assert (es.state / "roster").stat().st_size < 300_000
    es.crash()
    assert [each["subscriber"] for each in es.ask("subscriptions")] == ["stays"]
