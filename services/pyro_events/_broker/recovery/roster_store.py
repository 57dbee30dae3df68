"""Keeps the roster in the state directory, and what a planned restart saves.

    roster      the journal: who is subscribed, and who publishes (`snapshot/journal.py`)
    tallies-…   their numbers, mapped into memory (`snapshot/counters.py`)
    parting     the state at a planned restart (`snapshot/model.py`)

Changes are written together in one write(2), once a round of the loop or before a client is told of
them, without waiting for a disk: they have to survive the process and not the machine. A journal
that can't be written is given up for good; the service continues, and a crash then costs what it
would cost without a state directory.
"""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_events._broker.delivery.items import singles
from pyro_events._broker.snapshot import counters, journal, model
from pyro_events._broker.snapshot.accepted import KeptEvents, replay
from pyro_events._broker.snapshot.counters import SLOT, CounterFile
from pyro_events._broker.snapshot.fields import Fields, Snapshotted
from pyro_events._broker.snapshot.model import (
    BrokerSnapshot,
    LostSubscriber,
    PublisherNumber,
    UnreadableSnapshot,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._broker.snapshot.model import SubscriberSnapshot
    from pyro_events._broker.snapshot.ring import Ring
    from pyro_events._broker.snapshot.transfer import SnapshotWriter
    from pyro_events._protocol.event import Item

_PREFIX = "tallies-"
_SLACK = 256 << 10
"""Bytes that a journal may be too long before it is rewritten."""
_MOST_LOST = 1000
"""Lost subscribers that are remembered by name."""

_log = logging.getLogger("pyro_events")


class RosterStore(Snapshotted):
    """Writes the roster of one process. For the loop's thread only.

    `slots` is how many subscribers and publishers there may be. The files of the previous process
    stay until `begin`, so that a kill in between costs nothing. With `past`, the snapshot of
    another process of the same incarnation, it continues that one's files, without touching them
    before that process has ended; raises OSError then.
    """

    SNAPSHOT: ClassVar = Fields("_records", "_size")
    TRANSIENT: ClassVar = (
        "counter_file",  # the broker carries it
        "_directory", "_numbers", "_header", "_live",  # they follow from the others
        "_file",  # opened again
        "changes",  # written before
        "errors", "given_up",  # then nothing is carried
    )  # fmt: skip

    def __init__(
        self,
        directory: str,
        slots: int,
        incarnation: str,
        lost: Sequence[LostSubscriber],
        past: dict[str, Any] | None = None,
    ) -> None:
        self.errors = 0
        """How often the state directory could not be written to."""
        self._directory = directory
        self._file: int | None = None
        self.given_up = False
        """Whether there is no roster any more, because it could not be written."""
        self._numbers = f"{_PREFIX}{incarnation}"
        self._header = journal.header(incarnation, self._numbers, lost)
        self._records: dict[int, bytes] = {}
        self._live = len(self._header)
        self._size = 0
        self.changes: dict[int, Callable[[], bytes] | None] = {}
        """What has to be written, by slots; None for one that is free."""
        if past is not None:
            self.counter_file = CounterFile.reopen(self._path(self._numbers), slots)
            self.restore(past, None)
            return
        try:
            self.counter_file = CounterFile.create(self._path(self._numbers), slots)
        except OSError as error:
            self.counter_file = CounterFile.in_memory(slots)
            self._give_up(error)

    def snapshot(self, writer: SnapshotWriter) -> dict[str, Any] | None:
        """Return what the journal has, when all is written; None if there is no roster any more."""
        return None if self._file is None else super().snapshot(writer)

    def restore(self, values: dict[str, Any], reader: object) -> None:
        """Continue with the journal of another process of the same incarnation."""
        super().restore(values, reader)
        self._live += sum(map(len, self._records.values()))
        self._file = self._open()

    def begin(self) -> None:
        """Replace the files of the previous process by what was noted so far."""
        if self.given_up:
            return
        self._collect()
        try:
            self._rewrite()
            self._clear({"roster", self._numbers})
        except OSError as error:
            self._give_up(error)

    def note(self, slot: int, record: Callable[[], bytes]) -> None:
        """Write the slot's record at the end of the round."""
        self.changes[slot] = record

    def forget(self, slot: int) -> None:
        """Write, at the end of the round, that the slot is free."""
        self.changes[slot] = None

    def flush(self) -> None:
        """Write what has changed; after each round of the loop, and before answers."""
        if not self.changes:
            return
        if self._file is None:
            self.changes.clear()
            return
        try:
            self._append(self._collect())
            if self._size > 2 * self._live + _SLACK:
                self._rewrite()
        except OSError as error:
            self._give_up(error)

    def save(self, snapshot: BrokerSnapshot) -> None:
        """Leave everything to the next process, instead of the roster. Raises OSError."""
        self._replace("parting", model.encode(snapshot))
        self.remove()

    def remove(self) -> None:
        """Remove the roster, when its subscriptions have ended."""
        self.close()
        self._clear({"parting"})

    def close(self) -> None:
        """Write nothing more; the files stay."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _collect(self) -> bytes:
        """Return the records of what has changed, and keep them for rewriting the journal."""
        changes, self.changes = self.changes, {}
        written = []
        for slot, make in changes.items():
            old = self._records.pop(slot, b"")
            self._live -= len(old)
            if make is not None:
                self._records[slot] = record = make()
                self._live += len(record)
                written.append(record)
            elif old:
                written.append(journal.gone(slot))
        return b"".join(written)

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        written = os.write(self._file, data)
        if written < len(data):
            os.write(self._file, data[written:])  # raises what is wrong
        self._size += len(data)

    def _rewrite(self) -> None:
        """Write a new journal, with the present state."""
        self.close()
        data = self._header + b"".join(self._records.values())
        self._replace("roster", data)
        self._file = self._open()
        self._size = len(data)

    def _open(self) -> int:
        return os.open(self._path("roster"), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def _replace(self, name: str, data: bytes) -> None:
        path = self._path(f"{name}.new")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(file, "wb") as stream:  # noqa: PTH123 - it is a descriptor
            stream.write(data)
        os.replace(path, self._path(name))  # noqa: PTH105 - text

    def _give_up(self, error: OSError) -> None:
        """Continue without a roster: half a roster would be worse than none."""
        self.errors += 1
        self.given_up = True
        _log.error(
            "can't keep the roster in %s: %s; a crash now costs subscriptions",
            self._directory, error.strerror or error,
        )  # fmt: skip
        self.remove()

    def _clear(self, keep: set[str]) -> None:
        """Remove our files in the directory, except these."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self._directory):  # noqa: PTH208 - text
                ours = name.startswith(("roster", "parting", _PREFIX))
                if ours and name not in keep:
                    os.unlink(self._path(name))  # noqa: PTH108 - text

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)  # noqa: PTH118 - text


def recall(directory: str, ring: Ring | None = None) -> BrokerSnapshot | None:
    """Return what the previous process has left in the directory, None if there is nothing.

    A file that can't be used is logged and ignored; so is a ring.
    """

    def roster(data: bytes, directory: str) -> BrokerSnapshot:
        return _roster(data, directory, ring)

    for name, read in (("parting", lambda data, _: model.decode(data)), ("roster", roster)):
        path = os.path.join(directory, name)  # noqa: PTH118 - text
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - text
                found = read(file.read(), directory)
        except FileNotFoundError:
            continue
        except (OSError, UnreadableSnapshot) as error:
            _log.error("%s can't be used, starting without it: %s", path, error)
        else:
            return found
    return None


def lost_with(past: BrokerSnapshot) -> list[LostSubscriber]:
    """Return the plain subscribers that crashes have cost so far, and log the new ones by name."""
    new = [
        LostSubscriber(each.name, each.subjects, each.patterns, each.owner)
        for each in past.subscribers
        if not each.aware
    ]
    for lost in new:
        _log.warning(
            "subscriber %s was lost in a crash and can't be notified: subjects %s, patterns %s",
            lost.subscriber, lost.subjects, lost.patterns,
        )  # fmt: skip
    by_name = {lost.subscriber: lost for lost in (*past.lost, *new)}
    return list(by_name.values())[-_MOST_LOST:]


def _roster(data: bytes, directory: str, ring: Ring | None) -> BrokerSnapshot:
    """Return what a killed process has left: of its queues what is in the ring."""
    roster = journal.replay(data)
    kept = _kept(ring, roster.incarnation)
    try:
        numbers = counters.read(os.path.join(directory, roster.counter_file))  # noqa: PTH118 - text
    except OSError:
        numbers = None
    publishers: list[PublisherNumber] = []
    if numbers is None:
        _log.error("%s/%s is missing: what was lost is unknown", directory, roster.counter_file)
        subscribers = [
            replace(each, lineage=[roster.incarnation], promised=1, series=b"")
            if each.kind == "callback"
            else each
            for each in roster.subscribers.values()
        ]
    else:
        subscribers = [
            cut_off(replace(each, slot=slot), roster.incarnation, numbers[slot : slot + SLOT], kept)
            for slot, each in roster.subscribers.items()
        ]
        publishers = [
            PublisherNumber(owner, name, max(numbers[slot], kept.numbers.get(slot, 0)))
            for slot, (owner, name) in roster.publishers.items()
        ]
    return BrokerSnapshot(roster.incarnation, "crash", subscribers, publishers, roster.lost)


def _kept(ring: Ring | None, incarnation: str) -> KeptEvents:
    try:
        return KeptEvents() if ring is None else replay(ring.records(), incarnation)
    except UnreadableSnapshot as error:
        _log.error("the events that were kept can't be used: %s", error)
        return KeptEvents()


def cut_off(
    saved: SubscriberSnapshot, incarnation: str, numbers: Sequence[int], kept: KeptEvents
) -> SubscriberSnapshot:
    """Return the state of a subscriber whose process was killed: what isn't kept is lost. Pure.

    `numbers` are those of its slot. An object that is called without numbers gets nothing again: it
    may have had it.
    """
    promised, accounted, acked = numbers
    promised = kept.promised.get(saved.slot, promised)
    count = max(0, promised - accounted - acked)
    sent: list[Item] = []
    if count and (saved.kind == "stream" or saved.series):
        for item, copies in kept.last(saved.slot, count):
            sent += [each for each in singles([item]) for _ in range(copies)]
        sent = sent[-count:]
    missing = count - len(sent)
    if saved.kind == "callback":
        if not saved.series:
            accounted, acked = accounted + acked, 0
        else:
            acked, promised = acked + missing, promised + missing
            # Numbers that may be those of lost events are not used again.
        lost = 0
    else:
        lost = acked = acked + missing
    return replace(
        saved,
        lineage=[*saved.lineage, incarnation],
        promised=promised,
        accounted=accounted,
        acked=acked,
        lost=lost,
        sent=sent,
    )
