"""Runs of events: a batch about one subject passes through the service without being opened."""

from __future__ import annotations

from collections import deque
from datetime import date
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_events import Publisher
from pyro_events._broker.delivery.items import (
    Load,
    item_size,
    pieces,
    singles,
)
from pyro_events._broker.delivery.mailbox import Mailbox, SharedRoom
from pyro_events._client.receiving.pushes import parse_push, unpack_events
from pyro_events._protocol import runs
from pyro_events._protocol.event import Undecodable
from pyro_events._protocol.runs import events_in
from pyro_events.codec import pack, unpack_run
from tests.events.client_fixtures import Recording
from tests.events.service_harness import Recorder, proxy
from tests.events.test_engine_stream import messages
from tests.events.test_rules import allow
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events.types import WhenFull
    from tests.events.service_harness import Connect, Make, WireClient

ABLE = {"pyro_events": 2, "role": "subscriber", "can": ["runs", "another"]}
values = st.lists(st.integers() | st.text(max_size=40) | st.dates(), min_size=1, max_size=30)
lists = st.lists(st.tuples(values, st.booleans()), max_size=4)


def queued(batches: list[tuple[list[Any], bool]], most: int) -> list[Any]:
    """Return events of which some are in runs."""
    items: list[Any] = []
    for number, (batch, together) in enumerate(batches):
        bodies = list(map(pack, batch))
        if together:
            items += pieces("s", float(number), b"".join(bodies), len(bodies), most, 200)
        else:
            items += [("s", float(number), body, False) for body in bodies]
    return items


@settings(deadline=None)
@given(lists, st.integers(1, 9))
def test_a_run_is_its_events(batches: list[tuple[list[Any], bool]], most: int) -> None:
    """Cut into pieces and into single events it keeps their order, size and number."""
    items = queued(batches, most)
    each = singles(items)
    assert [body for _, _, body, _ in each] == [pack(it) for batch, _ in batches for it in batch]
    assert events_in(items) == len(each)
    assert sum(map(item_size, items)) == sum(map(item_size, each))
    assert all(events_in([item]) <= most for item in items)
    assert all(len(item[2]) <= 200 for item in items if events_in([item]) > 1)
    if items:
        load = Load.of(items)
        for taken in range(load.events + 1):
            rest = load.after(taken)
            assert singles(rest.items) == each[taken:]
            assert list(rest.sizes) == list(map(item_size, rest.items))
            assert rest.events == len(each) - taken
        assert singles(load.repeated(2).items) == [item for item in each for _ in range(2)]


@settings(deadline=None)
@given(
    st.lists(lists, max_size=6),
    st.sampled_from(["drop-oldest", "drop-newest"]),
    st.integers(1, 60),
    st.integers(100, 9000),
    st.integers(1, 20),
)
def test_a_mailbox_treats_runs_like_single_events(
    offers: list[Any], policy: WhenFull, limit: int, max_bytes: int, events: int
) -> None:
    """The same events wait, and the same are dropped; only the frames differ."""
    together: Mailbox[Any] = Mailbox(limit, max_bytes, SharedRoom(4 * max_bytes))
    single: Mailbox[Any] = Mailbox(limit, max_bytes, SharedRoom(4 * max_bytes))
    flights: deque[list[Any]] = deque()
    for batches in filter(None, offers):
        items = queued(batches, 10)
        for box, each in ((together, items), (single, singles(items))):
            load = Load.of(each)
            rest = load.after(box.offer(*load))
            if rest.events:
                box.overflow(rest.items, rest.sizes, policy, rest.events)
        assert singles(list(together)) == list(single)
        assert (together.dropped, together.bytes, len(together)) == (
            single.dropped, single.bytes, len(single),
        )  # fmt: skip
        flights.append(together.take(events, 500))
        left = events_in(flights[-1])
        assert left <= events
        while left:
            left -= len(single.take(left, 10**6))
            assert left >= 0
        if len(flights) > 1:
            gone = singles(flights.popleft())
            for box in (together, single):
                box.settle(len(gone), sum(map(item_size, gone)))


def test_a_run_waits_for_room_in_one_piece() -> None:
    """That is so while anything waits, for a publisher that waits; otherwise it is cut."""
    box: Mailbox[Any] = Mailbox(30, 10**6)
    run = Load.of(pieces("s", 0.0, pack(1) * 20, 20, 20, 10**6))
    assert box.offer(*run, whole=True) == 20
    assert box.offer(*run, whole=True) == 0
    assert box.offer(*run) == 10
    assert events_in(box.take(4, 10**6)) == 4
    box.clear()
    small: Mailbox[Any] = Mailbox(5, 10**6)
    assert small.offer(*run, whole=True) == 5


@pytest.mark.usefixtures("each_codec")
@settings(deadline=None)
@given(values, st.data())
def test_messages_of_a_run_are_read_together(batch: list[Any], data: st.DataObject) -> None:
    """They arrive as they were, with tags and without; any other bytes are a ValueError."""
    body = b"".join(map(pack, batch))
    assert unpack_run(body, len(batch)) == batch
    for wrong in (len(batch) + 1, len(batch) - 1):
        with pytest.raises(ValueError, match="messages"):
            unpack_run(body, wrong)
    at = data.draw(st.integers(0, len(body) - 1))
    bad = body[:at] + data.draw(st.binary(max_size=2)) + body[at + 1 :]
    try:
        each = list(map(pack, unpack_run(bad, len(batch))))
    except ValueError:
        return
    assert len(each) == len(batch)


def test_only_events_about_one_subject_are_a_run() -> None:
    """Others, opaque ones and a few stay as they are; the way back gives what was there."""
    first, second = (["a"], pack(1), False), (["b"], pack(2), False)
    opaque, both = (["a"], b"raw", True), (["a", "b"], pack(3), False)
    entries = [*[first] * 9, *[second] * 3, *[opaque] * 9, *[both] * 9, *[second] * 8]
    found = runs.with_runs(entries)
    assert found == [
        (["a"], pack(1) * 9, False, 9), *[second] * 3, *[opaque] * 9, *[both] * 9,
        (["b"], pack(2) * 8, False, 8),
    ]  # fmt: skip
    assert runs.without_runs(map(list, found)) == list(map(list, entries))


# At the service


def run_of(subject: str, numbers: range) -> list[Any]:
    return [[subject], b"".join(map(pack, numbers)), False, len(numbers)]


@pytest.fixture
def able(client: Callable[..., WireClient]) -> Callable[[Any], WireClient]:
    """Connects clients that understand runs, to anything with a `uri`."""

    def connect(es: Any) -> WireClient:
        made = client(es, greet=False)
        made.greet(ABLE)
        return made

    return connect


def test_everybody_gets_the_events_of_a_run(
    engine: Make, wire_client: Connect, able: Callable[[Any], WireClient], stock: Any
) -> None:
    """Streams with runs and without, callbacks and patterns; all events have one time."""
    running = engine()
    recorder = Recorder()
    with proxy(running.uri) as es:
        es.subscribe("a", stock().register(recorder))
    old, new = wire_client(running), able(running)
    old.attach("old", ["a"])
    new.attach("new", [], ["^A$"])
    assert old.call("publish_batch", "p", 1, [run_of("a", range(1000))])[1] == 1000
    found = [each.events(1000) for each in (old, new)]
    assert found[0] == found[1]
    assert messages(found[0]) == list(range(1000))
    assert len({event[1] for event in found[0]}) == 1
    eventually(lambda: len(recorder.events) == 1000)
    assert [event.msg for event in recorder.events] == list(range(1000))
    eventually(lambda: running.statistics()["queued"] == 0)
    assert running.statistics()["queued_bytes"] == 0
    assert running.statistics()["published"] == 1000
    assert running.statistics()["delivered"] == 3000


def test_a_run_that_is_known_in_part(engine: Make, able: Callable[[Any], WireClient]) -> None:
    """Only the events with new numbers are published."""
    running = engine()
    reader = able(running)
    reader.attach("id", ["a"])
    reader.call("publish_batch", "p", 1, [run_of("a", range(10))])
    again = [run_of("a", range(5, 20)), [["a"], pack("last"), False]]
    assert reader.call("publish_batch", "p", 6, again)[1] == 21
    assert messages(reader.events(21)) == [*range(20), "last"]


def test_a_stream_continues_in_the_middle_of_a_run(
    engine: Make, able: Callable[[Any], WireClient]
) -> None:
    """What was not received comes again, with the same numbers."""
    running = engine()
    reader = able(running)
    before = reader.attach("id", ["a"])["incarnation"]
    reader.call("publish_batch", "p", 1, [run_of("a", range(10))])
    reader.sock.close()
    again = able(running)
    answer = again.attach("id", ["a"], last=4, last_incarnation=before)
    assert (answer["resumed"], answer["next"]) == (True, 5)
    assert messages(again.events(6)) == [4, 5, 6, 7, 8, 9]


def test_a_handover_and_a_restart_keep_runs(
    held: Any, client: Any, able: Callable[[Any], WireClient]
) -> None:
    """Sent or waiting, with a publisher that waits for room, none is lost or duplicated."""
    es = held("-N", "-q", "--patience", "60", "--stuck-timeout", "60", "--queue-size", "3000")
    reader, writer = able(es), client(es)
    before = reader.attach("s", ["a"])["incarnation"]
    waiting = writer.start("publish_batch", "p", 1, [run_of("a", range(5000))])
    eventually(lambda: es.ask("statistics")["held"] == 1)
    es.handover()
    assert messages(reader.events(1000)) == list(range(1000))
    assert writer.finish(waiting)[1] == 5000
    eventually(lambda: es.ask("statistics")["delivered"] == 1000)
    es.restart()
    again = able(es)
    assert again.attach("s", ["a"], last=1000, last_incarnation=before)["resumed"]
    assert messages(again.events(4000)) == list(range(1000, 5000))


@pytest.mark.parametrize(
    "entry",
    [
        [["a"], pack(1), False, 2], [["a"], pack(1) * 2, False, 1], [["a"], b"", False, 0],
        [["a"], pack(1), False, -1], [["a"], pack(1), True, 1], [["a"], pack(1), False, True],
        [["a"], "text", False, 1], [["a"], b"\xc1", False, 1], [["a"], b"\x93\x01", False, 1],
        [["a"], b"\xdd\xff\xff\xff\xff", False, 1], [["a", "b"], pack(1), False, 1],
        [[], pack(1), False, 1], [[""], pack(1), False, 1], ["a", pack(1), False, 1],
        [["a"], pack(1), False, 1 << 62], [["a"], pack(bytes(2000)) + pack(1), False, 2],
    ],
)  # fmt: skip
def test_a_bad_run_is_refused(engine: Make, wire_client: Connect, entry: list[Any]) -> None:
    """Nothing of its batch is published, also if only one event is too large for a queue."""
    running = engine(queue_bytes=2000)
    publisher = wire_client(running)
    with pytest.raises((TypeError, ValueError)):
        publisher.call("publish_batch", "p", 1, [[["a"], pack(1), False], entry])
    assert running.statistics()["published"] == 0
    assert publisher.call("publish_batch", "p", 1, [run_of("a", range(500))])[1] == 500


def test_rules_decide_about_each_event_of_a_run(
    engine: Make, wire_client: Connect, able: Callable[[Any], WireClient]
) -> None:
    """The numbers of all events that are refused are in the answer; the others arrive."""
    running = engine(allow=allow("a"))
    reader, writer = able(running), wire_client(running)
    reader.attach("id", ["a", "b"])
    batch = [run_of("a", range(3)), run_of("b", range(3)), run_of("a", range(3, 5))]
    _, last, refused, reason = writer.call("publish_batch", "p", 1, batch)
    assert (last, refused) == (8, [4, 5, 6])
    assert "publish" in reason
    assert messages(reader.events(5)) == [0, 1, 2, 3, 4]
    assert running.statistics()["refusals"]["rule"] == 3


def test_reserved_subjects_in_a_run(engine: Make, able: Callable[[Any], WireClient]) -> None:
    """Each of its events is counted as refused."""
    running = engine()
    writer = able(running)
    writer.call("publish_batch", "p", 1, [run_of("pyroctl.x", range(9)), run_of("a", range(2))])
    assert running.statistics()["published"] == 2
    assert running.statistics()["refusals"]["reserved"] == 9


# In helpers


def test_helpers_use_runs(engine: Make) -> None:
    """Messages of all kinds arrive in order, about one subject and about others in between."""
    running = engine()
    sent = [[n, f"text {n}", date(2026, 1, 1), {"n": float(n)}, (n,)][n % 5] for n in range(3000)]
    with Recording(running.uri) as subscriber, Publisher(running.uri, patience=None) as publisher:
        subscriber.subscribe(["a", "b"])
        subscriber.start()
        for number, message in enumerate(sent):
            publisher.post("b" if number % 700 < 20 else "a", message)
        publisher.flush(30)
        assert subscriber.wait(3000) == sent


def frame(count: int, *entries: Any) -> bytes:
    head = b"\x93\xcf" + (7).to_bytes(8, "big") + b"\xce" + count.to_bytes(4, "big")
    return head + bytes(msgpack.packb(entries))


def test_a_frame_with_runs_is_read() -> None:
    """Its numbers without opening it; one message that can't be read spoils no other."""
    single, run = ("a", 1.0, pack(0), False), ("a", 1.0, pack(1) + pack((2,)), False, 2)
    data = frame(4, single, run, ("a", 2.0, b"raw", True))
    assert parse_push(data) == (7, 4)
    assert [getattr(event, "msg", None) for event in unpack_events(data, 1)] == [1, (2,), b"raw"]
    odd = ("a", 1.0, pack(1) + b"\xd4\x63\x00" + pack(2), False, 3)
    events = unpack_events(frame(3, odd), 0)
    assert isinstance(events[1], Undecodable)
    assert [getattr(event, "msg", None) for event in (events[0], events[2])] == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        frame(3, ("a", 1.0, pack(1) * 2, False, 2)),
        frame(2, ("a", 1.0, pack(1), False, 2)),
        frame(1 << 31, ("a", 1.0, pack(1), False, 1 << 31)),
        frame(2, ("a", 1.0, pack(1) * 2, False, "2")),
        frame(2, ("a", 1.0, pack(1) * 2, False, 2, 2)),
        frame(1, 5),
        frame(0),
        frame(2, ("a", 1.0, pack(1), False)),
        frame(2, ("a", 1.0, pack(1) * 2, False, 2))[:-1],
    ],
)
def test_nonsense_with_runs_is_one_undecodable_event(data: bytes) -> None:
    """Whatever an event service sends, the subscriber goes on."""
    (event,) = unpack_events(data, 0)
    assert isinstance(event, Undecodable)
    assert "nonsense" in event.reason
