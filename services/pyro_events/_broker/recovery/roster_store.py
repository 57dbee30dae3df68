"""Keeps the roster in the state directory, and what a planned restart hands on.

    roster      the journal: who is subscribed, and who publishes (`engine/journal.py`)
    counter_file-…   their numbers, mapped into memory (`engine/counter_file.py`)
    parting     the state at a planned restart (`engine/state.py`)

What changes is written together in one write(2), once a round of the loop or when an answer is
about to say so, without waiting for a disk: it has to survive the process and not the machine. A
journal that can't be written is given up, once and for all; the service goes on, and a crash then
costs what it would cost without a state directory.
"""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_events._broker.snapshot import counters, journal, model
from pyro_events._broker.snapshot.counters import CounterFile
from pyro_events._broker.snapshot.fields import Fields, Snapshotted
from pyro_events._broker.snapshot.model import BrokerSnapshot, LostSubscriber, UnreadableSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._broker.snapshot.model import SubscriberSnapshot
    from pyro_events._broker.snapshot.transfer import SnapshotWriter

_PREFIX = "tallies-"
_SLACK = 256 << 10
"""Bytes that a journal may be too long before it is written anew."""
_MOST_LOST = 1000
"""Lost subscribers that are remembered by name."""

_log = logging.getLogger("pyro_events")


class RosterStore(Snapshotted):
    """Writes the roster of one process. For the loop's thread only.

    `slots` is how many subscribers and publishers there may be. What the process before has left
    stays until `begin`, so that a kill in between costs nothing. With `past`, what another process
    of the same incarnation has handed over, it goes on with the files of that one, and doesn't
    touch them before that one has ended; raises OSError then.
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
        """Put what was noted so far in the place of what the process before has left."""
        if self.given_up:
            return
        self._collect()
        try:
            self._rewrite()
            self._clear({"roster", self._numbers})
        except OSError as error:
            self._give_up(error)

    def note(self, slot: int, record: Callable[[], bytes]) -> None:
        """Have the slot's record written at the end of the round."""
        self.changes[slot] = record

    def forget(self, slot: int) -> None:
        """Have it written that the slot is free."""
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
        """Remove the roster: nobody has to remember those subscriptions."""
        self.close()
        self._clear({"parting"})

    def close(self) -> None:
        """Write nothing more; the files stay."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _collect(self) -> bytes:
        """Give the records of what has changed, and keep them for when the journal is rewritten."""
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
            os.write(self._file, data[written:])  # says what is wrong
        self._size += len(data)

    def _rewrite(self) -> None:
        """Begin the journal anew, with what is true now."""
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
        """Go on without: half a roster would be worse than none."""
        self.errors += 1
        self.given_up = True
        _log.error(
            "can't keep the roster in %s: %s; a crash now costs subscriptions",
            self._directory, error.strerror or error,
        )  # fmt: skip
        self.remove()

    def _clear(self, keep: set[str]) -> None:
        """Remove what is ours in the directory, but for these."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self._directory):  # noqa: PTH208 - text
                ours = name.startswith(("roster", "parting", _PREFIX))
                if ours and name not in keep:
                    os.unlink(self._path(name))  # noqa: PTH108 - text

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)  # noqa: PTH118 - text


def recall(directory: str) -> BrokerSnapshot | None:
    """Give what the process before has left in the directory, None if there is nothing.

    What can't be read is said in the log and counts as nothing.
    """
    for name, read in (("parting", _parting), ("roster", _roster)):
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
        LostSubscriber(each.name, each.subjects, each.patterns)
        for each in past.subscribers
        if not each.aware
    ]
    for lost in new:
        _log.warning(
            "subscriber %s was lost in a crash and can't be told: subjects %s, patterns %s",
            lost.subscriber, lost.subjects, lost.patterns,
        )  # fmt: skip
    by_name = {lost.subscriber: lost for lost in (*past.lost, *new)}
    return list(by_name.values())[-_MOST_LOST:]


def _parting(data: bytes, _directory: str) -> BrokerSnapshot:
    return model.decode(data)


def _roster(data: bytes, directory: str) -> BrokerSnapshot:
    """Put together what a killed process has left: nothing of its queues."""
    roster = journal.replay(data)
    try:
        numbers = counters.read(os.path.join(directory, roster.counter_file))  # noqa: PTH118 - text
    except OSError:
        numbers = None
    if numbers is None:
        _log.error("%s/%s is missing: nobody knows what was lost", directory, roster.counter_file)
        return BrokerSnapshot(
            incarnation=roster.incarnation,
            reason="crash",
            subscribers=[
                replace(saved, lineage=[roster.incarnation], promised=1)
                if saved.kind == "callback"
                else saved
                for saved in roster.subscribers.values()
            ],
            lost=roster.lost,
        )
    return BrokerSnapshot(
        incarnation=roster.incarnation,
        reason="crash",
        subscribers=[
            _cut_off(saved, roster.incarnation, *numbers[slot : slot + 2])
            for slot, saved in roster.subscribers.items()
        ],
        publishers={name: numbers[slot] for slot, name in roster.publishers.items()},
        lost=roster.lost,
    )


def _cut_off(
    saved: SubscriberSnapshot, incarnation: str, promised: int, accounted: int
) -> SubscriberSnapshot:
    """Say how a subscriber stands whose events went down with the process."""
    last = promised - accounted if saved.kind == "stream" else 0
    return replace(
        saved,
        lineage=[*saved.lineage, incarnation],
        promised=promised,
        accounted=accounted,
        acked=last,
        lost=last,
    )
