"""The router against a reference that is too simple to be wrong."""

from __future__ import annotations

import re
import time
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyro_events._broker.router import CACHE_SIZE, Router
from pyro_events._protocol.patterns import Pattern
from pyro_events._protocol.subjects import check_patterns

KEYS = st.sampled_from(["ann", "bob", "eve"])
SUBJECTS = ["a", "A", "b", "ab", "Ab", "B.c", "x"]
PATTERNS = ["a", "A.*", ".*b", "^b", "x|a", ".*"]
subjects = st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=3)
patterns = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3)


class RouterAgainstReference(RuleBasedStateMachine):
    """The reference: one list of (key, is it a pattern, text), searched from the start."""

    def __init__(self) -> None:
        super().__init__()
        self.router: Router[str] = Router(time.monotonic, time.thread_time)
        self.entries: list[tuple[str, bool, str]] = []
        self.once: set[str] = set()
        self.order: list[str] = []

    @rule(key=KEYS, texts=subjects)
    def subscribe(self, key: str, texts: list[str]) -> None:
        self.router.subscribe(key, texts)
        for text in texts:
            if not any(
                k == key and not p and t.lower() == text.lower() for k, p, t in self.entries
            ):
                self.entries.append((key, False, text))
        self.settle(key)

    @rule(key=KEYS, texts=patterns)
    def subscribe_match(self, key: str, texts: list[str]) -> None:
        self.router.subscribe_match(key, check_patterns(texts))
        for text in texts:
            if (key, True, text) not in self.entries:
                self.entries.append((key, True, text))
        self.settle(key)

    @rule(key=KEYS, texts=subjects | patterns)
    def unsubscribe(self, key: str, texts: list[str]) -> None:
        self.router.unsubscribe(key, texts)
        lower = [text.lower() for text in texts]
        self.entries = [
            (k, p, t)
            for k, p, t in self.entries
            if k != key or (t not in texts if p else t.lower() not in lower)
        ]
        self.settle(key)

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        self.router.remove(key)
        self.entries = [entry for entry in self.entries if entry[0] != key]
        self.once.discard(key)
        self.settle(key)

    @rule(key=KEYS, once=st.booleans())
    def set_once(self, key: str, once: bool) -> None:
        self.router.set_once(key, once)
        (self.once.add if once else self.once.discard)(key)
        self.settle(key)

    def settle(self, key: str) -> None:
        known = key in self.once or any(entry[0] == key for entry in self.entries)
        if known and key not in self.order:
            self.order.append(key)
        if not known and key in self.order:
            self.order.remove(key)

    @invariant()
    def the_same_get_the_same(self) -> None:
        for subject in SUBJECTS:
            copies = Counter(
                key
                for key, is_pattern, text in self.entries
                if (
                    re.match(text, subject, re.IGNORECASE)
                    if is_pattern
                    else text.lower() == subject.lower()
                )
            )
            expected = tuple(
                (key, 1 if key in self.once else copies[key]) for key in self.order if copies[key]
            )
            assert self.router.targets(subject) == expected
            assert self.router.targets(subject.swapcase()) == expected

    @invariant()
    def everybody_is_listed_as_written(self) -> None:
        for key in ("ann", "bob", "eve"):
            own = [(p, t) for k, p, t in self.entries if k == key]
            assert self.router.subscriptions(key) == (
                [t for p, t in own if not p],
                [t for p, t in own if p],
            )
            assert self.router.empty(key) == (not own)
            assert self.router.suspended(key) == []

    @invariant()
    def tables_hold_nothing_of_departed_subscribers(self) -> None:
        assert set(self.router._members) == set(self.order)
        assert set(self.router._subjects) == {t.lower() for _, p, t in self.entries if not p}
        assert set(self.router._patterns) == {t for _, p, t in self.entries if p}


TestRouterAgainstReference = RouterAgainstReference.TestCase


class Counted(Pattern):
    """A pattern that records which subjects it was tried on."""

    __slots__ = ("calls",)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.calls: list[str] = []

    def match(self, subject: str) -> bool:
        self.calls.append(subject)
        return super().match(subject)


def test_each_pattern_meets_each_subject_once() -> None:
    """Targets are remembered until a subscription changes."""
    router: Router[str] = Router(time.monotonic, time.thread_time)
    pattern = Counted("s.*")
    router.subscribe_match("ann", [pattern])
    for spelling in ("Sun", "SUN", "sun"):
        assert router.targets(spelling) == (("ann", 1),)
    assert pattern.calls == ["sun"]
    router.subscribe("bob", ["sun"])
    assert router.targets("Sun") == (("ann", 1), ("bob", 1))
    assert pattern.calls == ["sun", "sun"]


def test_the_memory_of_targets_is_bounded() -> None:
    """A publisher that invents subjects can't fill it up, and the least used go first."""
    router: Router[str] = Router(time.monotonic, time.thread_time)
    pattern = Counted(".*")
    router.subscribe_match("ann", [pattern])
    router.targets("kept")
    for number in range(CACHE_SIZE - 1):
        router.targets(f"s{number}")
    router.targets("kept")
    for number in range(100):
        router.targets(f"t{number}")
    assert len(router._cache) == CACHE_SIZE
    pattern.calls.clear()
    router.targets("kept")
    assert pattern.calls == []
