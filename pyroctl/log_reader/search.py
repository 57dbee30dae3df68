"""Searches logs of several services, newest first, for a bounded time, and continues where it was.

A place in all logs is a `Cursor`: it stays valid while lines are added and files are rotated.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.errors import UsageError
from pyroctl.log_reader.files import (
    LogLine,
    LogPosition,
    Source,
    end_of,
    lines_backwards,
    lines_from,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import regex

LOOK_INTERVAL = 200
"""Lines between two looks at the clock."""
LONGEST_LINE = 16 << 10
"""Characters of a line that are returned."""
MOST_CHARACTERS = 1 << 20
"""Of all lines of one answer."""


class Placed(NamedTuple):
    """A line and where it begins and ends, in the log with that key."""

    line: LogLine
    key: str
    start: LogPosition
    end: LogPosition


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for; times are seconds since the epoch."""

    pattern: regex.Pattern[str] | None = None
    since: float = 0.0
    until: float = float("inf")
    limit: int = 500
    seconds: float = 2.0


@dataclass(slots=True)
class Found:
    """An answer: lines in order of time, each with the place before it."""

    lines: list[tuple[LogLine, str]] = field(default_factory=list)
    older: str | None = None
    """Where to continue towards older lines; None: there are none."""
    newer: str = ""
    """Where newer lines begin."""
    complete: bool = True
    """Whether everything was searched, up to the limit."""
    searched_until: float | None = None
    """The time of the line at which the search ended."""


def encode_cursor(places: Mapping[str, LogPosition]) -> str:
    """Return a cursor as text."""
    text = json.dumps({key: [*place] for key, place in places.items()}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(text: str) -> dict[str, LogPosition]:
    """Return what a cursor says; raises UsageError."""
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return {str(key): LogPosition(*map(int, place)) for key, place in found.items()}
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
        raise UsageError("that is not a cursor of the logs") from None


def search_older(
    sources: Sequence[Source], query: Query, cursor: Mapping[str, LogPosition] | None = None
) -> Found:
    """Return the newest lines that match, before a cursor. Blocks for `query.seconds` at most."""
    begun = [_ending(source, (cursor or {}).get(_key(source))) for source in sources]
    places = {_key(source): source.end for source in begun if source.end is not None}
    newer = encode_cursor(places)
    merged = heapq.merge(*map(_backwards, begun), key=_moment, reverse=True)
    found = _collect(merged, places, query, older=True)
    found.lines.reverse()
    found.newer = newer
    return found


def search_newer(
    sources: Sequence[Source], query: Query, cursor: Mapping[str, LogPosition]
) -> Found:
    """Return the oldest lines that match, from a cursor on. Blocks for `query.seconds` at most."""
    places = {_key(source): cursor.get(_key(source), LogPosition(0, 0)) for source in sources}
    older = encode_cursor(places)
    merged = heapq.merge(
        *(_forwards(source, places[_key(source)]) for source in sources), key=_moment
    )
    found = _collect(merged, places, query, older=False)
    found.newer, found.older = found.older or encode_cursor(places), older
    return found


def _collect(
    lines: Iterator[Placed], places: dict[str, LogPosition], query: Query, *, older: bool
) -> Found:
    """Take lines until there are enough, none is left, or the time is over."""
    found = Found()
    deadline = time.monotonic() + query.seconds
    characters = 0
    for number, (line, key, start, end) in enumerate(lines):
        moment = line.moment()
        if older and moment < query.since:
            return found  # all others are older still
        if number % LOOK_INTERVAL == 0 and time.monotonic() > deadline:
            found.complete = False
        try:
            fits = query.since <= moment <= query.until and _matches(query, line.text, deadline)
        except TimeoutError:
            found.complete = False
        full = len(found.lines) >= query.limit or characters > MOST_CHARACTERS
        if full or not found.complete:
            found.older = encode_cursor(places)
            return found
        places[key] = start if older else end
        found.searched_until = moment
        if fits:
            characters += len(line.text)
            cut = line._replace(text=line.text[:LONGEST_LINE])
            found.lines.append((cut, encode_cursor(places if older else {**places, key: start})))
    return found


def _matches(query: Query, text: str, deadline: float) -> bool:
    if query.pattern is None:
        return True
    left = max(0.01, deadline - time.monotonic())
    return query.pattern.search(text, timeout=left, concurrent=len(text) > BUSY) is not None


BUSY = 2000
"""Characters from which on a search lets other threads run."""


def _backwards(source: Source) -> Iterator[Placed]:
    for line, start, end in lines_backwards(source):
        yield Placed(line, _key(source), start, end)


def _forwards(source: Source, place: LogPosition) -> Iterator[Placed]:
    for line, start, end in lines_from(source, place):
        yield Placed(line, _key(source), start, end)


def _ending(source: Source, place: LogPosition | None) -> Source:
    """Return a source that ends at a place, or where it ends now."""
    return source._replace(end=end_of(source) if place is None else place)


def _key(source: Source) -> str:
    return f"{source.service}/{source.stream}"


def _moment(placed: Placed) -> float:
    return placed.line.moment()
