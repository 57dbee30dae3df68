"""The arguments of remote calls, checked before anything is done, and the events made of them.

ValueError and TypeError name what is wrong.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pyro_events._broker.delivery.items import ITEM_OVERHEAD, pieces
from pyro_events._protocol.decode_limits import LimitReached
from pyro_events._protocol.runs import count_of, is_run_entry
from pyro_events._protocol.subjects import MAX_SUBJECT, check_control, check_subjects

if TYPE_CHECKING:
    from pyro_events._broker.settings import Settings
    from pyro_events._protocol.event import Item, Queued

_MAX_ID = 255
_LARGEST = 1 << 63
_SUBJECT_ROOM = MAX_SUBJECT + ITEM_OVERHEAD


def make_items(
    subjects: tuple[str, ...], body: bytes, limit: int, *, opaque: bool = False
) -> list[Item]:
    """Make the events of one publish, which all have the same time; ValueError if too large."""
    _check_size(body, limit)
    now = time.time()
    return [(subject, now, body, opaque) for subject in subjects]


def batch_items(batch: object, settings: Settings) -> list[Queued]:
    """Make the events of many publishes; raises ValueError or TypeError before anything is done."""
    if not isinstance(batch, list):
        raise TypeError(f"batch must be a list, not {type(batch).__name__}")
    try:
        return _items(batch, time.time(), settings)
    except ValueError as error:
        if "unpack" in str(error):
            raise TypeError("batch must hold [subjects, body, opaque]") from None
        raise


def _items(batch: list[Any], now: float, settings: Settings) -> list[Queued]:
    items: list[Queued] = []
    limit = settings.queue_bytes
    for entry in batch:
        if is_run_entry(entry):
            items += _run(entry, now, settings)
            continue
        subjects, body, opaque = entry
        if type(body) is not bytes or type(opaque) is not bool or type(subjects) is not list:
            raise TypeError("batch must hold [subjects, body, opaque]")
        if len(body) > limit - _SUBJECT_ROOM:
            _check_size(body, limit)
        if not subjects:
            check_subjects(subjects)
        for subject in subjects:
            if type(subject) is not str or not 0 < len(subject) <= MAX_SUBJECT:
                check_subjects(subjects)
            items.append((subject, now, body, opaque))
    return items


def _run(entry: list[Any], now: float, settings: Settings) -> list[Queued]:
    """Make the events of a run of publishes."""
    subjects, body, opaque, count = entry
    if type(body) is not bytes or opaque is not False or type(count) is not int:
        raise TypeError("a run in a batch must be [[subject], body, False, count]")
    if type(subjects) is not list or len(subjects) != 1:
        raise ValueError("a run in a batch must have one subject")
    (subject,) = subjects
    if type(subject) is not str or not 0 < len(subject) <= MAX_SUBJECT:
        check_subjects(subjects)
    limit = settings.queue_bytes
    most = max(1, min(settings.batch_bytes, limit - _SUBJECT_ROOM))
    found = pieces(subject, now, body, count, settings.batch_events, most)
    for item in found:
        if count_of(item) == 1:
            _check_size(item[2], limit)
    return found


def _check_size(body: bytes, limit: int) -> None:
    if len(body) > limit - _SUBJECT_ROOM:
        raise LimitReached(
            "queue_bytes",
            f"the message is too large: {len(body)} bytes; at most {limit - _SUBJECT_ROOM} fit "
            "into a subscriber's queue (queue_bytes)",
        )


def check_texts(texts: object) -> tuple[str, ...]:
    """Check subjects or patterns to unsubscribe, so that a pattern's length is allowed."""
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, (list, tuple)):
        return check_subjects(texts)
    valid = texts and all(isinstance(text, str) and text for text in texts)
    return tuple(texts) if valid else check_subjects(texts)


def check_id(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if not 0 < len(value) <= _MAX_ID:
        raise ValueError(f"{what} must have from 1 to {_MAX_ID} characters")
    check_control(value, what)
    return value


def check_number(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be an int, not {type(value).__name__}")
    if not 0 <= value < _LARGEST:
        raise ValueError(f"{what} is out of range: {value}")
    return value


def check_options(options: object) -> dict[str, Any]:
    if not isinstance(options, dict):
        raise TypeError(f"options must be a dict, not {type(options).__name__}")
    known = {"name", "once", "when_full", "queue_size", "last", "last_incarnation"}
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(f"unknown options: {', '.join(map(str, unknown))}")
    return dict(options)
