"""Runs: consecutive messages about one subject, as one piece of bytes. Pure.

A publisher's batch about one subject passes through the event service as it came. Its messages are
counted by skipping them, and never opened. A run is told from a single event by its last element,
the number of its events; a run of a publish or an event has the same elements as a single one
before that.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import msgpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyro_events._protocol.event import Queued

LEAST: Final = 8
"""Fewer events are dearer as a run than one by one."""
SINGLE: Final = 4
"""Elements of a single event; a run has one more."""

Publish = tuple["Sequence[str]", bytes, bool]
"""One publish as it is on the wire: subjects, message, whether it is opaque."""
PublishRun = tuple["Sequence[str]", bytes, bool, int]
"""Many of them: one subject, all messages, False, their number."""

_subjects = itemgetter(0)
_body = itemgetter(1)
_opaque = itemgetter(2)


def count_of(item: Queued) -> int:
    """Return how many events that is."""
    return item[4] if len(item) > SINGLE else 1


def events_in(items: Sequence[Queued]) -> int:
    """Return how many events these are."""
    if sum(map(len, items)) == SINGLE * len(items):
        return len(items)
    return sum(map(count_of, items))


def with_runs(entries: Sequence[Publish]) -> list[Publish | PublishRun]:
    """Return these publishes with runs for those that can be in one."""
    if len(entries) < LEAST:
        return list(entries)
    found: list[Publish | PublishRun] = []
    for subjects, group in groupby(entries, _subjects):
        alike = list(group)
        if len(alike) >= LEAST and len(subjects) == 1 and not any(map(_opaque, alike)):
            found.append((subjects, b"".join(map(_body, alike)), False, len(alike)))
        else:
            found += alike
    return found


def without_runs(entries: Iterable[Any]) -> list[Any]:
    """Return these publishes, checked before, one by one."""
    found = []
    for entry in entries:
        if is_run_entry(entry):
            subjects, body, opaque, count = entry
            found += [[subjects, each, opaque] for each in messages(body, count)]
        else:
            found.append(entry)
    return found


def events_of(entries: Sequence[Any]) -> int:
    """Return how many publishes these are, which were checked before."""
    return sum(entry[3] if is_run_entry(entry) else 1 for entry in entries)


def is_run_entry(entry: object) -> bool:
    """Return whether that is a run of publishes."""
    return type(entry) is list and len(entry) == 4  # noqa: PLR2004 - as in PublishRun


def ends(body: bytes, count: int) -> list[int]:
    """Return where each of `count` messages ends; ValueError if there are not exactly as many."""
    walker = msgpack.Unpacker(max_buffer_size=max(1, len(body)))
    walker.feed(body)
    skip, tell = walker.skip, walker.tell
    found: list[int] = []
    try:
        for _ in range(count):
            skip()
            found.append(tell())
    except (ValueError, msgpack.UnpackException):
        found.append(-1)
    if not found or found[-1] != len(body):
        raise ValueError(f"a run does not have exactly {count} messages")
    return found


def messages(body: bytes, count: int) -> list[bytes]:
    """Return the messages of a run one by one; raises ValueError as `ends`."""
    return [body[begin:end] for begin, end in pairwise((0, *ends(body, count)))]
