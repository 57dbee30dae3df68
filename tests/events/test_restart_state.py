"""What a process leaves to the next: the state's format, the roster's journal, the counters."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_events._broker.principal import Principal
from pyro_events._broker.recovery.roster_store import RosterStore, recall
from pyro_events._broker.snapshot import counters, journal, model
from pyro_events._broker.snapshot.counters import SLOT, CounterFile
from pyro_events._broker.snapshot.model import (
    BrokerSnapshot,
    Callee,
    LostSubscriber,
    PublisherNumber,
    SubscriberSnapshot,
    UnreadableSnapshot,
)

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = {"as_dict": False, "once": False, "when_full": "drop-oldest", "queue_size": 10}
OWNER = Principal("user", "uid:7")
CALLEE = Callee("PYRO:x@h:1", "10.0.0.7", None, "key")
STREAM = SubscriberSnapshot("stream", "id", "name", True, ["a"], ["b.*"], OPTIONS, OWNER)
PLAIN = SubscriberSnapshot(
    "callback", "PYRO:x@h:1", "PYRO:x@h:1", False, ["a"], [], OPTIONS, OWNER, CALLEE
)

texts = st.lists(st.text(max_size=5), max_size=3)
owners = st.builds(Principal, st.sampled_from(["user", "address"]), st.text(max_size=5))
items = st.lists(
    st.tuples(
        st.text(max_size=3), st.floats(allow_nan=False), st.binary(max_size=3), st.booleans()
    ),
    max_size=3,
)
numbers = st.integers(0, (1 << 63) - 1)
standings = st.builds(
    SubscriberSnapshot,
    kind=st.sampled_from(["stream", "callback"]),
    key=st.text(max_size=5),
    name=st.text(max_size=5),
    aware=st.booleans(),
    subjects=texts,
    patterns=texts,
    options=st.just(OPTIONS),
    owner=owners,
    callee=st.none() | st.just(CALLEE),
    lineage=texts,
    promised=numbers,
    accounted=numbers,
    untold=numbers,
    acked=numbers,
    lost=numbers,
    sent=items,
    waiting=items,
)
states = st.builds(
    BrokerSnapshot,
    incarnation=st.text(max_size=5),
    reason=st.text(max_size=5),
    subscribers=st.lists(standings, max_size=3),
    publishers=st.lists(
        st.builds(PublisherNumber, owners, st.text(max_size=5), numbers), max_size=3
    ),
    lost=st.lists(st.builds(LostSubscriber, st.text(max_size=5), texts, texts, owners), max_size=2),
)


@given(states)
def test_a_state_comes_back_as_it_was(given_state: BrokerSnapshot) -> None:
    """Any state survives writing and reading."""
    assert model.decode(model.encode(given_state)) == given_state


@given(st.binary(max_size=60))
def test_anything_else_is_not_a_state(data: bytes) -> None:
    """Other bytes raise the error for an unreadable state, and no other."""
    with pytest.raises(UnreadableSnapshot):
        model.decode(data)


def test_another_format_is_refused_by_its_number() -> None:
    """This keeps an older program from misreading a newer format."""
    with pytest.raises(UnreadableSnapshot, match="format 4, and this program knows 3"):
        model.decode(msgpack.packb([4, {}]))


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "sms"}, {"surprise": 1}, {"waiting": [("a", 1.0)]}, {"sent": 5}, {"name": None}],
)
def test_a_wrong_subscriber_is_unreadable(wrong: dict[str, Any]) -> None:
    """A kind, a key or an event that doesn't exist."""
    values = {key: value for key, value in {**STREAM.plain(), **wrong}.items() if value is not None}
    with pytest.raises(UnreadableSnapshot):
        SubscriberSnapshot.of(values)


def sample() -> list[bytes]:
    return [
        journal.header("one", "tallies-one", [LostSubscriber("x", ["a"], [], OWNER)]),
        journal.has(0, STREAM),
        journal.pub(2, OWNER, "publisher"),
        journal.has(4, PLAIN),
        journal.gone(0),
        journal.has(2, PLAIN),
        journal.pub(4, OWNER, "other"),
    ]


def test_later_records_of_a_slot_replace_earlier_ones() -> None:
    """A slot belongs to its last subscriber, or to none."""
    roster = journal.replay(b"".join(sample()))
    assert (roster.incarnation, roster.counter_file) == ("one", "tallies-one")
    assert roster.lost == [LostSubscriber("x", ["a"], [], OWNER)]
    assert roster.subscribers == {2: PLAIN}
    assert roster.publishers == {4: (OWNER, "other")}


def test_half_a_record_at_the_end_counts_as_not_written() -> None:
    """It may be cut off anywhere, by a kill."""
    whole, last = b"".join(sample()[:2]), sample()[2]
    for size in range(len(last)):
        roster = journal.replay(whole + last[:size])
        assert roster.subscribers == {0: STREAM}
        assert roster.publishers == {}


def test_a_changed_byte_is_noticed() -> None:
    """It may be in a record, in its length or in its checksum."""
    data = b"".join(sample())
    for at in range(len(data)):
        with pytest.raises(UnreadableSnapshot):
            journal.replay(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])


def test_an_empty_journal_is_unreadable() -> None:
    """A roster without a header can't be used."""
    with pytest.raises(UnreadableSnapshot, match="empty"):
        journal.replay(b"")


@pytest.mark.parametrize("values", [5, ["has", 0, {}], ["roster", 1], ["what", 0], ["has"]])
def test_a_record_of_another_kind_is_unreadable(values: object) -> None:
    """This holds for the first record and a later one, even with the right checksum."""
    body = msgpack.packb(values)
    size = len(body).to_bytes(4, "big")
    checks = (zlib.crc32(size), zlib.crc32(body))
    record = size + b"".join(check.to_bytes(4, "big") for check in checks) + body
    for data in (record, sample()[0] + record):
        with pytest.raises(UnreadableSnapshot):
            journal.replay(data)


def test_numbers_are_in_the_file_at_once(tmp_path: Path) -> None:
    """They need no call to be written; slots are reused."""
    made = CounterFile.create(str(tmp_path / "t"), 3)
    first, second = made.claim(7), made.claim(8, 9)
    made.values[first + 1] += 5
    found = counters.read(str(tmp_path / "t"))
    assert found is not None
    assert list(found) == [7, 5, 0, 8, 9, 0, 0, 0, 0]
    made.release(first)
    assert made.claim() == first
    assert list(made.values[first : first + SLOT]) == [0, 0, 0]
    assert second == first + SLOT
    made.close()


def test_a_file_of_another_kind_has_no_numbers(tmp_path: Path) -> None:
    """It is not mistaken for a counter file."""
    (tmp_path / "t").write_bytes(b"something else")
    assert counters.read(str(tmp_path / "t")) is None


def roster_store(directory: Path, incarnation: str = "one") -> RosterStore:
    made = RosterStore(str(directory), 100, incarnation, [])
    made.begin()
    return made


def test_a_kill_leaves_the_subscribers_and_their_numbers(tmp_path: Path) -> None:
    """This holds after the journal was rewritten; numbers continue, queues are lost."""
    kept = roster_store(tmp_path)
    slot = kept.counter_file.claim()
    for _ in range(5000):  # more than fits between two rewritings
        kept.note(slot, lambda: journal.has(slot, STREAM))
        kept.flush()
    publisher = kept.counter_file.claim(42)
    kept.note(publisher, lambda: journal.pub(publisher, OWNER, "p"))
    kept.flush()
    assert (tmp_path / "roster").stat().st_size < 400_000
    kept.counter_file.values[slot], kept.counter_file.values[slot + 1] = 10, 3
    kept.close()
    past = recall(str(tmp_path))
    assert past is not None
    assert past.reason == "crash"
    assert past.publishers == [PublisherNumber(OWNER, "p", 42)]
    (found,) = past.subscribers
    assert (found.lineage, found.promised, found.acked, found.lost) == (["one"], 10, 7, 7)
    kept.counter_file.close()


def test_the_next_one_changes_nothing_before_it_begins(tmp_path: Path) -> None:
    """A process that dies while it takes over loses nothing."""
    first = roster_store(tmp_path)
    first.note(0, lambda: journal.has(0, STREAM))
    first.flush()
    first.close()
    second = RosterStore(str(tmp_path), 100, "two", [])
    past = recall(str(tmp_path))
    assert past is not None
    assert past.incarnation == "one"
    second.begin()
    assert {path.name for path in tmp_path.iterdir()} == {"roster", "tallies-two"}
    second.remove()
    assert list(tmp_path.iterdir()) == []
    first.counter_file.close()
    second.counter_file.close()


def test_without_numbers_the_loss_is_unknown(tmp_path: Path) -> None:
    """The subscriber is still expected, but can't resume from any incarnation."""
    kept = roster_store(tmp_path)
    kept.note(0, lambda: journal.has(0, STREAM))
    kept.flush()
    kept.close()
    (tmp_path / "tallies-one").unlink()
    past = recall(str(tmp_path))
    assert past is not None
    assert [(each.key, each.lineage) for each in past.subscribers] == [("id", [])]
    kept.counter_file.close()


def test_a_saved_state_replaces_the_roster(tmp_path: Path) -> None:
    """It is the only file in the directory, and the next process reads it."""
    kept = roster_store(tmp_path)
    parting = BrokerSnapshot("one", "restart", [STREAM], [PublisherNumber(OWNER, "p", 3)])
    kept.save(parting)
    assert [path.name for path in tmp_path.iterdir()] == ["parting"]
    assert recall(str(tmp_path)) == parting
    kept.counter_file.close()


def test_what_cannot_be_read_is_reported_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An invalid state doesn't hide the roster; a corrupt roster counts as missing."""
    kept = roster_store(tmp_path)
    kept.close()
    kept.counter_file.close()
    (tmp_path / "parting").write_bytes(b"nonsense")
    past = recall(str(tmp_path))
    assert past is not None
    assert past.incarnation == "one"
    assert "parting can't be used, starting without it" in caplog.text
    (tmp_path / "roster").write_bytes(b"n" * 100)
    assert recall(str(tmp_path)) is None


def test_a_missing_directory_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything else keeps working."""
    kept = roster_store(tmp_path / "nowhere")
    kept.note(kept.counter_file.claim(), lambda: journal.has(0, STREAM))
    kept.flush()
    assert (kept.errors, kept.given_up) == (1, True)
    assert caplog.text.count("can't keep the roster") == 1
    kept.close()
    kept.counter_file.close()
