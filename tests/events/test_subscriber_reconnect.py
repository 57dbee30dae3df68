"""Subscribers and publishers across broken connections and restarts of the event service."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import EventService, Publisher
from pyro_events._client.receiving import stream, subscription
from pyro_events._client.receiving.pushes import MailboxView, gap_on_attach, parse_push
from pyro_wire import backoff
from tests.events.client_fixtures import FakeES, Recording, Relay
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.service_harness import Process, Running

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "LAST", 0.1)


@pytest.fixture
def es(engine: Callable[..., Running]) -> Running:
    return engine()


@pytest.fixture
def relay(es: Running) -> Iterator[Relay]:
    with Relay(es.port) as made:
        yield made


def through(relay: Relay) -> str:
    return f"PYRO:Pyro.EventService@127.0.0.1:{relay.port}"


def test_a_broken_connection_loses_nothing(es: Running, relay: Relay) -> None:
    """The stream resumes where it stopped: no event is lost, duplicated or reported as a gap."""
    total = 12_000
    with Recording(through(relay)) as sub, Publisher(es.uri, patience=None, timeout=30) as pub:
        sub.on_event = lambda event: relay.cut() if event.msg % 2000 == 350 else None
        sub.subscribe("a")
        sub.start()
        for number in range(total):
            pub.post("a", number)
        assert sub.wait(total) == list(range(total))
        assert sub.gaps() == []
        assert sub.statistics()["reconnects"] > 0
        eventually(lambda: es.subscriber()["queued"] == 0)
        eventually(
            lambda: (
                sub.hook_names().count("connected") == sub.hook_names().count("disconnected") + 1
            )
        )
        assert es.statistics()["delivered"] == total


def test_a_connection_that_breaks_before_any_event_resumes_as_well(
    es: Running, relay: Relay
) -> None:
    """Events published in between arrive afterwards."""
    with Recording(through(relay)) as sub, Publisher(es.uri) as pub:
        sub.subscribe("a")
        relay.cut()
        pub.publish("a", 1)
        sub.start()
        assert sub.wait(1) == [1]
        assert sub.gaps() == []


def test_subscriptions_made_while_the_connection_breaks_hold(es: Running, relay: Relay) -> None:
    """A call that meets a break is repeated, and all take effect."""
    done = threading.Event()

    def cut() -> None:
        while not done.wait(0.02):
            relay.cut()

    cutter = threading.Thread(target=cut)
    with Recording(through(relay)) as sub:
        sub.subscribe("first")
        cutter.start()
        try:
            for number in range(15):
                sub.subscribe(f"s{number}")
                sub.subscribeMatch(f"p{number}")
                if number % 2:
                    sub.unsubscribe(f"s{number}")
        finally:
            done.set()
            cutter.join()
        sub.subscribe("last")
        eventually(lambda: es.subscriber()["state"] == "connected")
        wanted = {"first", "last", *(f"s{number}" for number in range(0, 15, 2))}
        assert set(es.subscriber()["subjects"]) == wanted
        assert set(es.subscriber()["patterns"]) == {f"p{number}" for number in range(15)}


def test_a_longer_absence_is_a_gap(engine: Callable[..., Running]) -> None:
    """After the event service has given the subscriber up, its hook reports a possible loss."""
    es = engine(reconnect_grace=0.1)
    with Relay(es.port) as relay:
        uri = through(relay)
        with Recording(uri) as sub, Publisher(es.uri) as pub:
            sub.subscribe("a")
            sub.start()
            pub.publish("a", 1)
            sub.wait(1)
            relay.refuse = True
            relay.cut()
            eventually(lambda: es.subscriptions() == [])
            relay.refuse = False
            (gap,) = eventually(sub.gaps)
            assert (gap["missed"], gap["reason"]) == (None, "expired")
            pub.publish("a", 2)
            assert sub.wait(2) == [1, 2]


@pytest.mark.parametrize("delivery", ["stream", "callback"])
def test_a_restart_is_survived_and_reported(delivery: Any) -> None:
    """On the same port events flow again; a gap is reported where it can't be excluded."""
    first = EventService(register=False)
    first.start()
    port = int(first.uri.rpartition(":")[2])
    with Recording(first.uri, delivery=delivery) as sub, Publisher(first.uri) as pub:
        sub.subscribe("a")
        sub.subscribeMatch("b.*")
        sub.start()
        pub.publish("a", 1)
        sub.wait(1)
        first.stop("for a test")
        eventually(lambda: sub.hook_names() == ["connected", "disconnected"])
        assert sub.hooks[1][1]["reason"] == "stopping: for a test"
        with EventService(port=port, register=False) as second:
            last = "gap" if delivery == "callback" else "connected"
            eventually(lambda: len(sub.hook_names()) > 2 and sub.hook_names()[-1] == last)
            pub.publish(["a", "bb"], 2)
            sub.wait(3)
            assert sub.messages() == [1, 2, 2]
            assert sub.hook_names()[:3] == ["connected", "disconnected", "connected"]
            assert sub.hooks[2][1]["incarnation"] == second.incarnation
            assert sub.hook_names()[3:] == (["gap"] if delivery == "callback" else [])
            for gap in sub.gaps():
                assert (gap["missed"], gap["reason"]) == (None, "restarted")
                assert (gap["uri"], gap["incarnation"]) == (second.uri, second.incarnation)
            sub.close()
            pub.close()


def test_a_subscriber_without_subscriptions_missed_nothing() -> None:
    """A restart is not a gap to a subscriber without subscriptions."""
    first = EventService(register=False)
    first.start()
    port = int(first.uri.rpartition(":")[2])
    with Recording(first.uri) as sub:
        sub.start()
        eventually(lambda: sub.hook_names() == ["connected"])
        first.stop()
        with EventService(port=port, register=False):
            eventually(lambda: sub.hook_names() == ["connected", "disconnected", "connected"])
            sub.subscribe("a")
            sub.close()
    assert sub.gaps() == []


def test_an_event_service_that_moved_is_found_by_name(
    name_server: str, process: Callable[..., Process]
) -> None:
    """Every attempt looks the name up again, so the port may change."""
    host, port = name_server.split(":")
    environment = {"PYRO_NS_HOST": host, "PYRO_NS_PORT": port}
    program = ("-m", "pyro_events", "-p", "0", "--ns", name_server)
    by_name = f"PYRONAME:Pyro.EventService@{name_server}"
    first = process(*program, **environment)
    assert "is ready" in first.first_line
    with Recording(by_name) as sub, Publisher(by_name) as pub:
        sub.subscribe("a")
        sub.start()
        pub.publish("a", 1)
        sub.wait(1)
        first.process.kill()
        first.end()
        pub.post("a", 2)
        second = process(*program, **environment)
        assert "is ready" in second.first_line
        assert first.first_line.split()[0] != second.first_line.split()[0]
        pub.flush(20)
        eventually(lambda: "gap" in sub.hook_names())
        pub.publish("a", 3)
        eventually(lambda: sub.messages()[-1] == 3)
        assert sub.gaps()[0]["reason"] == "restarted"
        assert pub.statistics()["reconnects"] == 1


def test_silence_is_a_broken_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event service that is silent for too long is given up."""
    monkeypatch.setattr(stream, "SILENCE", 0.2)
    with FakeES() as es, Recording(es.uri) as sub:
        sub.start()
        eventually(lambda: len(es.called("attach")) >= 3)
        reasons = [notice["reason"] for name, notice in sub.hooks if name == "disconnected"]
        assert reasons[0] == "nothing was received for 0.2 s"


@pytest.mark.parametrize("listening", [True, False])
def test_pings_end_silence(monkeypatch: pytest.MonkeyPatch, *, listening: bool) -> None:
    """An event service that pings is kept, however long it has no events."""
    monkeypatch.setattr(stream, "SILENCE", 1.0)
    with FakeES() as es, Recording(es.uri) as sub:
        sub.subscribe("a")
        if listening:
            sub.start()
        for number in range(1, 13):
            time.sleep(0.2)  # sleep: beats of the protocol, not a wait for a state
            es.send(6, b"ping")
            eventually(lambda number=number: es.pongs == number)
        assert len(es.called("attach")) == 1
        assert "disconnected" not in sub.hook_names()


def test_pings_are_answered_while_an_event_is_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler may take any time; the event service sees that the client is alive."""
    monkeypatch.setattr(stream, "SILENCE", 5.0)
    release = threading.Event()
    with FakeES() as es, Recording(es.uri) as sub:
        sub.on_event = lambda _event: release.wait(10)
        sub.start()
        eventually(lambda: es.called("attach"))
        es.push(1, "slow")
        eventually(lambda: sub.events)
        es.send(6, b"ping")
        eventually(lambda: es.pongs == 1)
        assert es.acks == []
        release.set()
        eventually(lambda: es.acks == [1])


def test_attachments_and_acknowledgements_follow_the_protocol() -> None:
    """The first attachment has no numbers, the next has the last one received."""
    with FakeES() as es, Recording(es.uri, name="bench", queue_size=7, once=True) as sub:
        sub.subscribe(["a", "B"])
        sub.start()
        es.push(1, b"x", b"y", b"z")
        sub.wait(3)
        eventually(lambda: es.acks == [3])
        es.answers["attach"] = {"incarnation": "one", "resumed": True, "next": 4, "missed": 2}
        es.cut()
        eventually(sub.gaps)
        first, second = es.called("attach")
        assert first[1:] == [["a", "B"], [], {"name": "bench", "once": True, "queue_size": 7}]
        assert second[0] == first[0]
        last = {"last": 3, "last_incarnation": "one"}
        assert second[1:] == [["a", "B"], [], {**first[3], **last}]
        assert sub.gaps()[0]["missed"] == 2
        assert sub.gaps()[0]["reason"] == "full"
        es.push(3, b"z", b"new")
        assert sub.wait(4) == [b"x", b"y", b"z", b"new"]
        eventually(lambda: es.acks[-1] == 4)


def test_events_of_an_earlier_mailbox_are_not_acknowledged() -> None:
    """Their numbers would mean others in the new mailbox."""
    release = threading.Event()
    with FakeES() as es, Recording(es.uri) as sub:
        sub.on_event = lambda event: release.wait(10) if event.msg == b"old" else None
        sub.subscribe("a")
        sub.start()
        es.push(1, b"old")
        eventually(lambda: sub.events)
        es.incarnation = "two"
        es.cut()
        eventually(lambda: len(es.called("attach")) == 2)
        release.set()
        eventually(lambda: sub.hook_names()[-1] == "gap")
        es.push(1, b"new", b"newer")
        sub.wait(3)
        eventually(lambda: es.acks)
        assert es.acks == [2]


def test_a_hole_in_the_numbers_is_a_gap() -> None:
    """This should not happen; if it does, it is reported."""
    with FakeES() as es, Recording(es.uri) as sub:
        sub.subscribe("a")
        sub.start()
        es.push(1, b"1")
        es.push(5, b"5")
        assert sub.wait(2) == [b"1", b"5"]
        assert [(gap["missed"], gap["reason"]) for gap in sub.gaps()] == [(3, "lost")]


def test_notices_reach_their_hooks_in_order_with_the_events() -> None:
    """Gaps and suspended patterns come as the event service sends them."""
    with FakeES() as es, Recording(es.uri) as sub:
        sub.on_event = lambda event: sub.hooks.append(("event", {"msg": event.msg}))
        sub.subscribe("a")
        sub.start()
        es.push(1, b"1")
        es.notice(kind="gap", missed=7, reason="full")
        es.push(2, b"2")
        es.notice(kind="pattern", pattern="(a+)+")
        es.notice(kind="of the future")
        es.notice(kind="stopping", reason="upgrade")
        es.cut()
        eventually(lambda: "disconnected" in sub.hook_names())
        assert sub.hook_names()[:6] == ["connected", "event", "gap", "event", "gap", "disconnected"]
        full, pattern, gone = sub.hooks[2][1], sub.hooks[4][1], sub.hooks[5][1]
        assert full == {"kind": "gap", "missed": 7, "reason": "full",
                        "uri": es.uri, "incarnation": "one"}  # fmt: skip
        assert (pattern["reason"], pattern["pattern"]) == ("pattern", "(a+)+")
        assert gone["reason"] == "stopping: upgrade"


def test_nonsense_from_the_event_service_breaks_the_connection() -> None:
    """The hook gets it as the reason, and the subscriber reconnects."""
    with FakeES() as es, Recording(es.uri) as sub:
        sub.subscribe("a")
        sub.start()
        es.send(4, b"\x92\xcf" + bytes(8) + b"\x01", 4)
        eventually(lambda: len(es.called("attach")) == 2)
        eventually(lambda: "disconnected" in sub.hook_names())
        assert "an invalid push" in sub.hooks[1][1]["reason"]


def test_an_attach_without_answer_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen event service is given up after a while."""
    monkeypatch.setattr(subscription, "CONNECT_TIMEOUT", 0.2)
    with FakeES() as es, Recording(es.uri) as sub:
        es.answers["attach"] = "ignore"
        sub.start()
        eventually(lambda: len(es.called("attach")) >= 2)
        del es.answers["attach"]
        eventually(lambda: sub.hook_names() == ["connected"])


@pytest.mark.parametrize(
    ("before", "answer", "expected"),
    [
        (None, {"resumed": False, "missed": None, "incarnation": "b"}, {}),
        ("a", {"resumed": True, "missed": 0, "incarnation": "a"}, {}),
        ("a", {"resumed": True, "missed": 3, "incarnation": "a"}, {"missed": 3, "reason": "full"}),
        ("a", {"resumed": False, "missed": None, "incarnation": "a"},
         {"missed": None, "reason": "expired"}),
        ("a", {"resumed": False, "missed": None, "incarnation": "b"},
         {"missed": None, "reason": "restarted"}),
        ("a", {"resumed": False, "missed": 0, "incarnation": "b"}, {}),
    ],
)  # fmt: skip
def test_a_gap_is_reported_exactly_when_something_may_be_missing(
    before: str | None, answer: dict[str, Any], expected: dict[str, Any]
) -> None:
    """It is never reported for the first attachment or without subscriptions."""
    mailbox = MailboxView(before, 5) if before else None
    assert gap_on_attach(mailbox, answer, subscribed=True) == expected
    assert gap_on_attach(mailbox, answer, subscribed=False) == {}


def test_a_dismissal_is_the_reason_of_the_gap_after_it() -> None:
    """It is the reason unless the event service was restarted in between."""
    answer = {"resumed": False, "missed": None, "incarnation": "a"}
    for before, reason in (("a", "full"), ("b", "restarted")):
        gap = gap_on_attach(MailboxView(before, 5), answer, subscribed=True, dismissed=True)
        assert gap == {"missed": None, "reason": reason}


def test_pushes_are_counted_without_unpacking_them() -> None:
    """This holds for every width of msgpack's array header."""
    start = b"\x92\xcf" + (7).to_bytes(8, "big")
    assert parse_push(start + b"\x9f") == (7, 15)
    assert parse_push(start + b"\xdc\x01\x90") == (7, 400)
    assert parse_push(start + b"\xdd\x00\x01\x00\x00") == (7, 65536)
    assert parse_push(b"\x92\xc0\x81\xa1k\x01") == {"k": 1}
    for bad in (b"", b"\x92\xc0\x90", b"\x01", start, start + b"\x01", b"\xc1"):
        with pytest.raises(ValueError, match=r".|^$"):
            parse_push(bad)


def test_a_mailbox_knows_what_is_new() -> None:
    """Events that come again are skipped, missing ones counted."""
    mailbox = MailboxView("a", 4)
    assert mailbox.compare(5, 4) == (0, 0)
    assert mailbox.compare(3, 4) == (2, 0)
    assert mailbox.compare(2, 3) == (3, 0)
    assert mailbox.compare(7, 1) == (0, 2)
