"""Subscriptions by subject and by pattern. Pure: subscribers are keys of any kind.

A router belongs to one thread at a time; code that shares it needs a lock.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from pyro_events._broker.match_budget import (
    FREE,
    NEW,
    OWNER_LIMIT,
    PATTERN_LIMIT,
    Charges,
    MatchTime,
)
from pyro_events._broker.members import Member, Watch
from pyro_events._protocol.patterns import PatternTimeout
from pyro_events._protocol.subjects import has_control, is_reserved

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping

    from pyro_events._protocol.patterns import Pattern

K = TypeVar("K", bound="Hashable")

Targets = tuple[tuple[K, int], ...]
"""Keys, and how many copies of an event each one gets."""
CACHE_SIZE = 10_000
"""Subjects whose targets are remembered."""


class PatternNotice(NamedTuple, Generic[K]):
    """What a subscriber has to know about one of its patterns."""

    key: K
    pattern: str
    suspended: bool
    """Whether it is matched no more, or only was not matched this time."""


class Router(Generic[K]):
    """The subscription tables; they shrink again when subscribers go.

    `owner` returns a name for a key: charges for costly patterns outlive the key. `client` returns
    whose the key is, None if it is never new: see `MatchTime`. `clock` and `cpu` return
    seconds, and seconds of processor time.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        cpu: Callable[[], float],
        owner: Callable[[K], Hashable] = lambda key: key,
        client: Callable[[K], Hashable | None] = lambda _key: None,
    ) -> None:
        self._members: dict[K, Member] = {}
        self._subjects: dict[str, set[K]] = {}
        self._patterns: dict[str, Watch[K]] = {}
        self._costly: dict[str, Watch[K]] = {}
        """Those of them that may backtrack."""
        self._quick: dict[str, Watch[K]] = {}
        """The others."""
        self._cpu = cpu
        self._owner = owner
        self._client = client
        self._clock = clock
        self._time = MatchTime(clock)
        self._pattern_charges = Charges(PATTERN_LIMIT)
        self._owner_charges = Charges(OWNER_LIMIT)
        self.notices: list[PatternNotice[K]] = []
        """What subscribers have to know; see `take_notices`."""
        self._hears: Callable[[K, str], bool] | None = None
        self._arrivals = 0
        self._generation = 0
        self._cache: OrderedDict[str, tuple[int, Targets[K]]] = OrderedDict()

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
            watch = self._patterns.get(pattern.text)
            if watch is None:
                watch = self._patterns[pattern.text] = Watch(pattern)
                (self._quick if pattern.quick else self._costly)[pattern.text] = watch
            if key in watch.keys:
                continue
            member.patterns[pattern.text] = 0
            watch.keys.add(key)
            if self._is_suspended(watch, key):
                self.notices.append(PatternNotice(key, pattern.text, suspended=True))
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
        self.notices = [notice for notice in self.notices if notice.key != key]
        self._generation += 1

    def filter_by(self, hears: Callable[[K, str], bool] | None) -> None:
        """Leave out keys for which `hears(key, subject)` is false; None: nobody."""
        self._hears = hears
        self._generation += 1

    def set_once(self, key: K, once: bool) -> None:
        """Set whether `key` gets only one copy of an event, however many subscriptions match."""
        self._member(key).once = once
        self._changed(key)

    def targets(self, subject: str) -> Targets[K] | None:
        """Return which keys get an event of that subject, and how many copies, in order of arrival.

        There is one copy for each matching subscription, unless the key is set to once. A pattern
        that is cut off, or for which no time is left, counts as not matching this time. None stands
        for a subject that only the manager may publish.
        """
        found = self.remembered(name := subject.lower())
        return self._find(name) if found is None and not is_reserved(name) else found

    def remembered(self, name: str) -> Targets[K] | None:
        """Return the same for a name in lower case if it is known without a match, else None."""
        cached = self._cache.get(name)
        if cached is None or cached[0] != self._generation:
            return None
        self._cache.move_to_end(name)
        return cached[1]

    def targets_of_manager(self, subject: str) -> Targets[K]:
        """Return the same for an event of the manager, which may publish any subject."""
        return self._find(subject.lower(), remember=False)

    def _find(self, name: str, *, remember: bool = True) -> Targets[K]:
        generation = self._generation
        copies, complete = self._match(name)
        if (hears := self._hears) is not None:
            copies = {key: count for key, count in copies.items() if hears(key, name)}
        members = self._members
        found = tuple(
            (key, 1 if members[key].once else copies[key])
            for key in sorted(copies, key=lambda key: members[key].order)
        )
        if remember and complete and generation == self._generation:
            self._cache[name] = (generation, found)
            self._cache.move_to_end(name)
            if len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return found

    def subscriptions(self, key: K) -> tuple[list[str], list[str]]:
        """Return the subjects and the patterns of `key`, as it wrote them and also if suspended."""
        member = self._members.get(key)
        return (list(member.subjects.values()), list(member.patterns)) if member else ([], [])

    def suspended(self, key: K) -> list[str]:
        """Return the patterns of `key` that are no longer matched because they took too long."""
        member = self._members.get(key)
        patterns = member.patterns if member else ()
        return [text for text in patterns if self._is_suspended(self._patterns[text], key)]

    def unmatched(self, key: K) -> dict[str, int]:
        """Return how often patterns of `key` could not be matched, if ever."""
        member = self._members.get(key)
        patterns = member.patterns if member else {}
        return {text: count for text, count in patterns.items() if count}

    def empty(self, key: K) -> bool:
        """Return whether `key` has no subscription at all."""
        member = self._members.get(key)
        return member is None or not (member.subjects or member.patterns)

    def patterns(self) -> list[str]:
        """Return the texts of all patterns."""
        return list(self._patterns)

    def compiled(self, text: str) -> Pattern | None:
        """Return the pattern of that text, if anyone is subscribed to it."""
        watch = self._patterns.get(text)
        return watch.pattern if watch else None

    def charges(self) -> dict[str, Any]:
        """Return what patterns and subscribers are charged with, for `restore_charges`."""
        return {"patterns": self._pattern_charges.plain(), "owners": self._owner_charges.plain()}

    def restore_charges(self, charges: Mapping[str, Any]) -> None:
        """Continue with the charges of another router, without any notice."""
        self._pattern_charges.restore(charges["patterns"])
        self._owner_charges.restore(charges["owners"])
        self._generation += 1

    def restore_unmatched(self, key: K, unmatched: Mapping[str, int]) -> None:
        """Continue the counts of another router."""
        self._members[key].patterns.update(unmatched)

    def take_notices(self) -> list[PatternNotice[K]]:
        """Return what subscribers have to know since the last call."""
        taken, self.notices = self.notices, []
        return taken

    def _member(self, key: K) -> Member:
        member = self._members.get(key)
        if member is None:
            self._arrivals += 1
            member = self._members[key] = Member(
                self._arrivals, self._clock(), self._owner(key), self._client(key)
            )
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
            self._costly.pop(text, None)
            self._quick.pop(text, None)

    def _match(self, name: str) -> tuple[dict[K, int], bool]:
        """Count the subscriptions that match; False when a pattern could not be matched.

        A subject with control characters, which helpers and stock clients are refused, has none.
        """
        if has_control(name):
            return {}, True
        copies = dict.fromkeys(self._subjects.get(name, ()), 1)
        for watch in self._quick.values():
            if watch.pattern.match(name):
                _add(copies, watch.keys)
        return copies, not self._costly or self._match_costly(name, copies)

    def _match_costly(self, name: str, copies: dict[K, int]) -> bool:
        """Count those of costly patterns; return False when one could not be matched."""
        self._time.refill()
        complete = True
        spent: set[Hashable | None] = set()
        """The clients for whose new subscribers one match was cut off, which has to do for this
        subject; None: nobody has time left for slow patterns."""
        for watch in self._in_turn():
            if spent and self._is_hopeless(watch, spent):  # there may be thousands of them
                complete = False
                self._note_unmatched(watch, watch.keys)
                continue
            keys = self._active(watch)
            matches = self._try(watch, name, keys) if keys else False
            if matches:
                _add(copies, keys)
            elif matches is None:
                complete = False
                self._note_unmatched(watch, keys)
                client = self._newcomer(keys)
                if client is not None or not self._time.allows(None, client):
                    spent.add(client)
        return complete

    def _is_hopeless(self, watch: Watch[K], spent: Collection[Hashable | None]) -> bool:
        """Return whether there is no time left for an active pattern of one subscriber."""
        keys, slowest = watch.keys, watch.slowest
        if len(keys) != 1 or (slowest is not None and slowest <= FREE):
            return False
        (key,) = keys
        return (
            (None in spent or self._newcomer(keys) in spent)
            and self._members[key].owner not in self._owner_charges.over
            and watch.pattern.text not in self._pattern_charges.over
        )

    def _in_turn(self) -> Iterator[Watch[K]]:
        """Yield costly patterns, the quickest so far first, and last those of charged owners.

        The first pattern that is cut off sends all others of its owner to the end.
        """
        late = []
        members, charged = self._members, self._owner_charges.names
        for watch in sorted(self._costly.values(), key=Watch.rank):
            for key in watch.keys:
                if members[key].owner not in charged:
                    yield watch
                    break
            else:
                late.append(watch)
        yield from late

    def _try(self, watch: Watch[K], name: str, keys: Collection[K]) -> bool | None:
        """Return whether the pattern matches, or None if it takes too long."""
        newcomer = self._newcomer(keys)
        if not self._time.allows(watch.slowest, newcomer):
            return None
        matches: bool | None = None
        began = self._cpu()
        with contextlib.suppress(PatternTimeout):
            matches = watch.pattern.match(name)
        seconds = self._cpu() - began
        watch.slowest = max(seconds, 0.9 * (watch.slowest or 0.0))
        if seconds > FREE or matches is None:
            text, cut_off = watch.pattern.text, matches is None
            self._charge(self._time.spend(text, seconds, newcomer, cut_off=cut_off))
        return matches

    def _newcomer(self, keys: Iterable[K]) -> Hashable | None:
        """Return the client of the subscribers if all of them are new, or were charged."""
        since, charged = self._clock() - NEW, self._owner_charges.names
        for key in keys:
            member = self._members[key]
            if member.since < since and member.owner not in charged:
                return None
        return member.client

    def _charge(self, due: Mapping[str, float]) -> None:
        """Charge patterns and their owners, and suspend those that have taken too much."""
        for text, seconds in due.items():
            watch = self._costly.get(text)
            keys = self._active(watch) if watch else []
            if self._pattern_charges.add(text, seconds):
                self._suspend((key, text) for key in keys)
            for key in keys:
                if self._owner_charges.add(self._members[key].owner, seconds):
                    texts = list(self._members[key].patterns)
                    self._suspend(
                        (key, each)
                        for each in texts
                        if each in self._costly and not self._pattern_charges.exceeded(each)
                    )

    def _suspend(self, which: Iterable[tuple[K, str]]) -> None:
        self.notices += [PatternNotice(key, text, suspended=True) for key, text in which]
        self._generation += 1  # what is remembered has matches of these

    def _note_unmatched(self, watch: Watch[K], keys: Iterable[K]) -> None:
        """Count it, and tell the first time; suspensions are told anyway."""
        text = watch.pattern.text
        for key in keys:
            patterns = self._members[key].patterns
            patterns[text] += 1
            if patterns[text] == 1 and not self._is_suspended(watch, key):
                self.notices.append(PatternNotice(key, text, suspended=False))

    def _active(self, watch: Watch[K]) -> Collection[K]:
        """Return the subscribers for whom a costly pattern is matched."""
        if watch.pattern.text in self._pattern_charges.over:
            return ()
        members, suspended = self._members, self._owner_charges.over
        if not suspended:
            return watch.keys
        return [key for key in watch.keys if members[key].owner not in suspended]

    def _is_suspended(self, watch: Watch[K], key: K) -> bool:
        return not watch.pattern.quick and (
            self._pattern_charges.exceeded(watch.pattern.text)
            or self._owner_charges.exceeded(self._members[key].owner)
        )


def _add(copies: dict[K, int], keys: Iterable[K]) -> None:
    for key in keys:
        copies[key] = copies.get(key, 0) + 1
