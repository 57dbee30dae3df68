"""The values in a handover: shared objects, descriptors, delays, full queues."""

from __future__ import annotations

import os
import resource
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pyro_events._broker.delivery.callback.connection import Retries
from pyro_events._broker.delivery.mailbox import Mailbox, SharedRoom
from pyro_events._broker.delivery.options import SubscriberOptions
from pyro_events._broker.settings import Settings
from pyro_events._broker.snapshot import fd_passing
from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter
from pyro_wire.framing import CONNECT, FrameReader, FrameTooLarge, encode_frame
from tests.events.service_harness import Make, Stock, proxy


def test_shared_objects_stay_shared() -> None:
    """Each is packed once however often it is used, and keeps order and type."""
    sender = SnapshotWriter()
    events = [(f"s{number}", 1.5, b"x" * 1000, False) for number in range(3)]
    lists = [[*events], [events[2], events[0], events[0]], []]
    data = sender.pack({"lists": [sender.share(each) for each in lists]})
    assert len(data) < 4000
    receiver = SnapshotReader(data, [])
    first, second, third = (receiver.shared(each) for each in receiver.values["lists"])
    assert (first, second, third) == tuple(lists)
    assert second[0] is first[2]
    assert second[1] is second[2] is first[0]


def test_unclaimed_descriptors_are_closed() -> None:
    """A receiver owns them until they become sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        numbers = [os.dup(ours.fileno()), os.dup(theirs.fileno())]
        receiver = SnapshotReader(SnapshotWriter().pack({}), numbers)
        with receiver.socket(0) as taken:
            receiver.close()
            taken.send(b"x")
            assert theirs.recv(1) == b"x"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(numbers[1])


def test_descriptors_arrive_or_the_message_is_an_error() -> None:
    """Two hundred go with one message; a process with a lower limit gets an error."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other, Path(os.devnull).open("rb") as file:
        fd_passing.send(one, b"x", [file.fileno()] * fd_passing.AT_ONCE)
        message, found = fd_passing.receive(other)
        assert (message, len(found)) == (b"x", fd_passing.AT_ONCE)
        assert not any(os.get_inheritable(each) for each in found)
        fd_passing.close(found)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(found) - 50, limits[1]))
        try:
            fd_passing.send(one, b"x", [file.fileno()] * fd_passing.AT_ONCE)
            with pytest.raises(OSError, match="too few descriptors"):
                fd_passing.receive(other)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert not Path(f"/proc/self/fd/{found[0]}").exists()


def test_a_token_is_taken_once() -> None:
    """One of its holders takes it, in this process or another."""
    for first, second in ((0, 1), (1, 0)):
        with (
            closing(fd_passing.Token()) as ours,
            closing(fd_passing.Token(os.dup(ours.fileno()))) as its,
        ):
            tokens = [ours, its]
            assert [tokens[first].take(), tokens[second].take(), tokens[first].take()] == [
                True, False, False,
            ]  # fmt: skip


def test_runs_of_the_same_objects_cost_next_to_nothing() -> None:
    """A queue that shares a run of another's adds two numbers; mixtures are restored, too."""
    sender = SnapshotWriter()
    events = [(f"s{number}", 1.5, b"x", False) for number in range(1000)]
    shares = [sender.share(events), sender.share(events[100:900]), sender.share([])]
    assert shares == [(0, 1000), (100, 800), (0, 0)]
    more = [*events[990:], *((f"t{number}", 1.5, b"x", False) for number in range(10))]
    mixed = [events[7], *events[3:5], more[-1]]
    shares += [sender.share(more), sender.share(mixed)]
    receiver = SnapshotReader(sender.pack({"shares": shares}), [])
    found = [receiver.shared(each) for each in receiver.values["shares"]]
    assert found == [events, events[100:900], [], more, mixed]
    assert found[3][0] is found[0][990]


def test_a_memory_file_carries_any_size() -> None:
    """What was written is read from the beginning, and the descriptor is closed."""
    data = bytes(range(256)) * 40_000
    with fd_passing.memory_file(data) as file:
        received = os.dup(file)
    assert fd_passing.contents(received) == data
    for closed in (file, received):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(closed)


def test_delays_continue_where_they_were() -> None:
    """They double up to a limit, end after `retry_for`, and restart after an answer."""
    now = [100.0]
    settings = replace(Settings(), retry_delay=1.0, retry_max_delay=4.0, retry_for=10.0)
    retries = Retries(lambda: now[0], settings)
    assert not retries.broken
    assert [retries.failed() for _ in range(4)] == [1.0, 2.0, 4.0, 4.0]
    other = Retries(lambda: now[0], settings)
    other.restore(retries.snapshot(None), None)
    now[0] += 8
    for each in (retries, other):
        assert each.failed() == 2.0
        assert each.broken
    now[0] += 2
    assert other.failed() is None
    retries.answered()
    assert (retries.broken, retries.failed(), retries.first) == (False, 1.0, True)
    retries.connected()
    now[0] += 5
    assert retries.failed() == 1.0


def test_a_queue_that_is_more_than_full_takes_nothing() -> None:
    """A queue above its limit empties first, and nothing is dropped."""
    mailbox: Mailbox[int] = Mailbox(2, 1000)
    assert mailbox.offer([1, 2, 3], [1, 1, 1]) == 2
    mailbox.set_unbounded(True)
    assert mailbox.offer([3, 4], [1, 1]) == 2
    mailbox.set_unbounded(False)
    assert mailbox.offer([5], [1]) == 0
    assert mailbox.sizes() == [1, 1, 1, 1]
    for number in (1, 2, 3):
        assert mailbox.take(3, 1000) == [number]
        mailbox.settle(1, 1)
    assert mailbox.offer([5, 6], [1, 1]) == 1
    assert (list(mailbox), mailbox.dropped) == ([4, 5], 0)


def test_what_is_on_its_way_stays_on_its_way() -> None:
    """The other mailbox has the same room, and enters what it holds into the shared room."""
    mailbox: Mailbox[int] = Mailbox(10, 1000)
    mailbox.offer([1, 2, 3, 4], [5, 5, 5, 5])
    mailbox.take(2, 1000)
    shared = SharedRoom(1000)
    other: Mailbox[int] = Mailbox(10, 1000, shared)
    writer = SnapshotWriter()
    values = mailbox.snapshot(writer)
    reader = SnapshotReader(writer.pack(values), [])
    other.restore(reader.values, reader)
    assert (list(other), other.away, other.away_bytes, shared.used) == ([3, 4], 2, 10, 20)


def test_a_subscriber_of_an_older_version_is_taken_over() -> None:
    """It may have had the policy `block`, which is gone."""
    saved = {"as_dict": False, "once": True, "when_full": "block", "queue_size": 7}
    options = SubscriberOptions.saved(saved)
    assert options == SubscriberOptions(False, True, "drop-oldest", 7)


def test_another_reader_continues_in_the_middle_of_a_frame() -> None:
    """This holds for one that is too large and being discarded, too."""
    frame, large = encode_frame(CONNECT, 4, 0, 1, b"abc"), encode_frame(CONNECT, 4, 0, 2, b"x" * 99)
    data = frame + large + frame
    for cut in range(len(data)):
        first, second = FrameReader(50), FrameReader(50)
        first.feed(data[:cut])
        found = 0
        for reader, rest in ((first, b""), (second, data[cut:])):
            if reader is second:
                reader.restore(first.leftover(), first.skipping)
            reader.feed(rest)
            while True:
                try:
                    if reader.next_frame() is None:
                        break
                except FrameTooLarge:
                    continue
                found += 1
        assert found == 2


def test_a_snapshot_changes_nothing(engine: Make, stock: Stock) -> None:
    """Two in a row are equal, and the service continues: so every failure is harmless."""
    es = engine()
    with proxy(es.uri) as remote:
        remote.subscribe("a", "PYRO:x@localhost:1")
        for number in range(10):
            remote.publish("a", number)

        def take() -> object:
            es.engine.broker.quiesce()
            values = es.engine.snapshot(SnapshotWriter())
            broker = values["broker"]
            for part in "retries", "_retry", "connection":
                del broker["callbacks"][0]["_daemon"][part]
            del broker["context"]["counters"]
            return values

        first, second = (es.engine.ask(take).result(5) for _ in range(2))
        remote.publish("a", 10)
    (only,) = es.subscriptions()
    assert only["queued"] == 11
    assert first == second
