"""Which subjects are published, and by whom; counted only while somebody looks. Pure.

The most frequent keys are found as by Space-Saving (Metwally, Agrawal, El Abbadi 2005), but pruned
in one go when twice as many are held, so that a flood of different subjects costs little: a key
that comes in later may have been counted before, at most `floor` times, which is its `error`.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from pyro_events._protocol.runs import events_in

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from pyro_events._protocol.event import Queued

MOST_SUBJECTS: Final = 256
MOST_PUBLISHERS: Final = 256
MOST_EDGES: Final = 1024
LOOK: Final = 30.0
"""Seconds for which one look has it counted."""
LONGEST_SHOWN: Final = 200
"""Characters of a subject."""
_subject = itemgetter(0)

K = TypeVar("K", bound="Hashable")


class TopKeys(Generic[K]):
    """The most frequent keys of a stream: their counts, and by how much each may be too high."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: dict[K, list[float]] = {}
        self._floor = 0.0

    def add(self, key: K, count: int, at: float) -> None:
        """Count a key that was seen at the time `at`."""
        entry = self._found.get(key)
        if entry is not None:
            entry[0] += count
            entry[2] = at
            return
        self._found[key] = [self._floor + count, self._floor, at]
        if len(self._found) > 2 * self._most:
            self._prune()

    def top(self) -> list[tuple[K, int, int, float]]:
        """Return key, count, error, and when it was seen last; the most frequent first."""
        found = sorted(self._found.items(), key=lambda entry: -entry[1][0])[: self._most]
        return [(key, int(count), int(error), at) for key, (count, error, at) in found]

    def _prune(self) -> None:
        kept = sorted(self._found.items(), key=lambda entry: -entry[1][0])
        self._floor = max(self._floor, kept[self._most][1][0])
        self._found = dict(kept[: self._most])


class Inventory:
    """Counts publishes while somebody looks. `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.open = False
        """Whether `count` has to be called."""
        self._clock = clock
        self._until = 0.0
        self._forget()

    def look(self) -> None:
        """Count for the next `LOOK` seconds; what was counted before a pause is forgotten."""
        now = self._clock()
        if now > self._until:
            self._forget()
        self._until = now + LOOK
        self.open = True

    def count(self, items: Sequence[Queued], origin: str, publisher: str) -> None:
        """Count what a publisher has published; `publisher` is "" for one without an id."""
        if self._clock() > self._until:
            self.open = False
            return
        source, at = (origin, publisher), items[-1][1] if items else 0.0
        self.publishers.add(source, events_in(items), at)
        for subject, run in groupby(items, _subject):
            number = events_in(list(run))
            self.subjects.add(subject.lower(), number, at)
            self.edges.add((source, family(subject)), number, at)

    @property
    def seconds(self) -> float:
        """For how long it has been counting."""
        return min(self._clock(), self._until) - self._since

    def _forget(self) -> None:
        self._since = self._clock()
        self.subjects: TopKeys[str] = TopKeys(MOST_SUBJECTS)
        self.publishers: TopKeys[tuple[str, str]] = TopKeys(MOST_PUBLISHERS)
        self.edges: TopKeys[tuple[tuple[str, str], str]] = TopKeys(MOST_EDGES)


def family(subject: str) -> str:
    """Return the first two tokens of a subject."""
    return ".".join(subject.lower().split(".", 2)[:2])


def shown(subject: str) -> str:
    """Return a subject, shortened if it is very long."""
    return subject if len(subject) <= LONGEST_SHOWN else f"{subject[: LONGEST_SHOWN - 1]}…"
