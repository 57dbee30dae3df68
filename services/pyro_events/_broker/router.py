"""Subscriptions by subject and by pattern. Pure: subscribers are keys of any kind.

A router belongs to one thread at a time; code that shares it needs a lock.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from pyro_events._protocol.patterns import Pattern, PatternTimeout
from pyro_events._protocol.subjects import has_control

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

K = TypeVar("K", bound="Hashable")

CACHE_SIZE = 10_000
"""Subjects whose targets are remembered."""
MAX_TIMEOUTS = 3
"""Matches of a pattern that may be cut off before it is suspended."""


@dataclass(slots=True, eq=False)
class _Member:
    """One subscriber: its subscriptions, as it wrote them."""

    order: int
    once: bool = False
    subjects: dict[str, str] = field(default_factory=dict)
    patterns: dict[str, None] = field(default_factory=dict)

    def idle(self) -> bool:
        return not (self.subjects or self.patterns or self.once)


@dataclass(slots=True, eq=False)
class _Watch(Generic[K]):
    """One pattern and its subscribers."""

    pattern: Pattern
    keys: set[K] = field(default_factory=set)
    timeouts: int = 0

    def suspended(self) -> bool:
        return self.timeouts >= MAX_TIMEOUTS


class Router(Generic[K]):
    """The subscription tables; they shrink again when subscribers go."""

    def __init__(self) -> None:
        self._members: dict[K, _Member] = {}
        self._subjects: dict[str, set[K]] = {}
        self._patterns: dict[str, _Watch[K]] = {}
        self.suspensions: list[tuple[K, str]] = []
        """Subscribers and pattern texts that were suspended; see `take_suspensions`."""
        self._arrivals = 0
        self._generation = 0
        self._cache: OrderedDict[str, tuple[int, tuple[tuple[K, int], ...]]] = OrderedDict()

    def subscribe(self, key: K, subjects: Iterable[str]) -> None:
        """Subscribe `key` to these subjects; those that it has already change nothing."""
        member = self._member(key)
        for subject in subjects:
            name = subject.lower()
            member.subjects.setdefault(name, subject)
            self._subjects.setdefault(name, set()).add(key)
        self._changed(key)

    def subscribe_match(self, key: K, patterns: Iterable[Pattern]) -> None:
        """Subscribe `key` to these patterns; a suspended one is reported at once."""
        member = self._member(key)
        for pattern in patterns:
            watch = self._patterns.setdefault(pattern.text, _Watch(pattern))
            if watch.suspended() and key not in watch.keys:
                self.suspensions.append((key, pattern.text))
            member.patterns[pattern.text] = None
            watch.keys.add(key)
        self._changed(key)

    def unsubscribe(self, key: K, texts: Iterable[str]) -> None:
        """Remove the subjects and the patterns of these texts, as far as there are any."""
        member = self._members.get(key)
        if member is None:
            return
        for text in texts:
            if member.subjects.pop(text.lower(), None) is not None:
                self._leave_subject(key, text.lower())
            if text in member.patterns:
                del member.patterns[text]
                self._leave_pattern(key, text)
        self._changed(key)

    def remove(self, key: K) -> None:
        """Remove all subscriptions of `key`."""
        member = self._members.pop(key, None)
        if member is None:
            return
        for name in member.subjects:
            self._leave_subject(key, name)
        for text in member.patterns:
            self._leave_pattern(key, text)
        self.suspensions = [entry for entry in self.suspensions if entry[0] != key]
        self._generation += 1

    def set_once(self, key: K, once: bool) -> None:
        """Set whether `key` gets only one copy of an event, however many subscriptions match."""
        self._member(key).once = once
        self._changed(key)

    def targets(self, subject: str) -> tuple[tuple[K, int], ...]:
        """Return which keys get an event of that subject, and how many copies, in order of arrival.

        There is one copy for each matching subscription, unless the key is set to once. A pattern
        whose match is cut off counts as not matching this time.
        """
        name = subject.lower()
        cached = self._cache.get(name)
        if cached is not None and cached[0] == self._generation:
            self._cache.move_to_end(name)
            return cached[1]
        copies, complete = self._match(name)
        members = self._members
        found = tuple(
            (key, 1 if members[key].once else copies[key])
            for key in sorted(copies, key=lambda key: members[key].order)
        )
        if complete:
            self._remember(name, found)
        return found

    def subscriptions(self, key: K) -> tuple[list[str], list[str]]:
        """Return the subjects and the patterns of `key`, as it wrote them and also if suspended."""
        member = self._members.get(key)
        return (list(member.subjects.values()), list(member.patterns)) if member else ([], [])

    def suspended(self, key: K) -> list[str]:
        """Return the patterns of `key` that are no longer matched because they took too long."""
        member = self._members.get(key)
        patterns = member.patterns if member else ()
        return [text for text in patterns if self._patterns[text].suspended()]

    def empty(self, key: K) -> bool:
        """Return whether `key` has no subscription at all."""
        member = self._members.get(key)
        return member is None or not (member.subjects or member.patterns)

    def patterns(self) -> list[str]:
        """Return the texts of all patterns."""
        return list(self._patterns)

    def timeouts(self) -> dict[str, int]:
        """Return how often the match of each pattern was cut off, if ever."""
        return {text: watch.timeouts for text, watch in self._patterns.items() if watch.timeouts}

    def restore_timeouts(self, timeouts: Mapping[str, int]) -> None:
        """Continue the counts of another router, without reporting suspensions again."""
        for text, count in timeouts.items():
            if text in self._patterns:
                self._patterns[text].timeouts = count
        self._generation += 1

    def take_suspensions(self) -> list[tuple[K, str]]:
        """Return the subscribers and pattern texts that were suspended since the last call."""
        taken, self.suspensions = self.suspensions, []
        return taken

    def _member(self, key: K) -> _Member:
        member = self._members.get(key)
        if member is None:
            self._arrivals += 1
            member = self._members[key] = _Member(self._arrivals)
        return member

    def _changed(self, key: K) -> None:
        self._generation += 1
        if self._members[key].idle():
            del self._members[key]

    def _leave_subject(self, key: K, name: str) -> None:
        keys = self._subjects[name]
        keys.discard(key)
        if not keys:
            del self._subjects[name]

    def _leave_pattern(self, key: K, text: str) -> None:
        keys = self._patterns[text].keys
        keys.discard(key)
        if not keys:
            del self._patterns[text]

    def _match(self, name: str) -> tuple[dict[K, int], bool]:
        """Count the subscriptions that match; False when a pattern was cut off.

        A subject with control characters, which helpers and stock clients are refused, has none.
        """
        if has_control(name):
            return {}, True
        copies = dict.fromkeys(self._subjects.get(name, ()), 1)
        complete = True
        for watch in self._patterns.values():
            if watch.suspended():
                continue
            try:
                matches = watch.pattern.match(name)
            except PatternTimeout:
                complete = False
                watch.timeouts += 1
                if watch.suspended():
                    self.suspensions.extend((key, watch.pattern.text) for key in watch.keys)
                continue
            if matches:
                for key in watch.keys:
                    copies[key] = copies.get(key, 0) + 1
        return copies, complete

    def _remember(self, name: str, found: tuple[tuple[K, int], ...]) -> None:
        self._cache[name] = (self._generation, found)
        self._cache.move_to_end(name)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
