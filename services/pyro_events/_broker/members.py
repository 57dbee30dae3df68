"""What the router remembers of a subscriber, and of a pattern. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from pyro_events._protocol.patterns import MATCH_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Hashable

    from pyro_events._protocol.patterns import Pattern

K = TypeVar("K", bound="Hashable")


@dataclass(slots=True, eq=False)
class Member:
    """One subscriber: its subscriptions, as it wrote them."""

    order: int
    since: float
    owner: Hashable
    client: Hashable
    once: bool = False
    subjects: dict[str, str] = field(default_factory=dict)
    patterns: dict[str, int] = field(default_factory=dict)
    """With how often each could not be matched."""

    def idle(self) -> bool:
        return not (self.subjects or self.patterns or self.once)


@dataclass(slots=True, eq=False)
class Watch(Generic[K]):
    """One pattern and its subscribers."""

    pattern: Pattern
    keys: set[K] = field(default_factory=set)
    slowest: float | None = None
    """Seconds of its slowest match; older ones count less and less."""

    def rank(self) -> float:
        """Return how late it is tried; one that never was counts as slow."""
        return MATCH_TIMEOUT if self.slowest is None else self.slowest
