"""What one browser is sent, in order, and what it can be sent again. Pure.

A stream outlives its connection for a while: a browser that comes back with `Last-Event-ID` gets
what came meanwhile. One that doesn't read loses the oldest, and is told how many.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_UNSENT = 256
MOST_UNSENT_BYTES = 1 << 20
MOST_KEPT = 1000
MOST_KEPT_BYTES = 1 << 20


class Sent(NamedTuple):
    """A message with its number."""

    number: int
    kind: str
    text: str


class Stream:
    """The messages of one browser. `name` is unique, and begins the ids of its messages."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.topics: frozenset[str] = frozenset()
        """What it wants besides what everybody gets, such as `log:es`."""
        self.missed = 0
        """Messages that it was too slow for, in all."""
        self._number = 0
        self._unsent: deque[Sent] = deque()
        self._unsent_bytes = 0
        self._kept: deque[Sent] = deque()
        self._kept_bytes = 0
        self._gap = 0

    def put(self, kind: str, data: Any) -> None:
        """Add a message; drop the oldest of those that wait if there are too many."""
        text = json.dumps(data, separators=(",", ":"), default=str)
        self._number += 1
        self._unsent.append(Sent(self._number, kind, text))
        self._unsent_bytes += len(text)
        while len(self._unsent) > MOST_UNSENT or (
            self._unsent_bytes > MOST_UNSENT_BYTES and len(self._unsent) > 1
        ):
            self._unsent_bytes -= len(self._unsent.popleft().text)
            self._gap += 1
            self.missed += 1

    @property
    def waiting(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._unsent)

    def take(self) -> str:
        """Return what is to be sent now, as text of an event stream."""
        found = list(self._unsent)
        self._unsent.clear()
        self._unsent_bytes = 0
        for sent in found:
            self._kept.append(sent)
            self._kept_bytes += len(sent.text)
        while len(self._kept) > MOST_KEPT or self._kept_bytes > MOST_KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft().text)
        gap, self._gap = self._gap, 0
        head = [_event(None, "gap", json.dumps({"missed": gap}))] if gap else []
        return "".join([*head, *self._texts(found)])

    def resume(self, number: int) -> str | None:
        """Return again what came after that number; None if it isn't kept any more."""
        oldest = self._kept[0].number if self._kept else self._number + 1 - len(self._unsent)
        if number > self._number or number + 1 < oldest:
            return None
        return "".join(self._texts(each for each in self._kept if each.number > number))

    def _texts(self, messages: Iterable[Sent]) -> Iterable[str]:
        return (_event(f"{self.name}-{each.number}", each.kind, each.text) for each in messages)


def parse_id(text: str) -> tuple[str, int] | None:
    """Return stream and number of a Last-Event-ID; None if it is none of ours."""
    name, _, number = text.rpartition("-")
    return (name, int(number)) if name and number.isdecimal() and len(number) < 16 else None  # noqa: PLR2004


def _event(number: str | None, kind: str, text: str) -> str:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {kind}\ndata: {text}\n\n"
