"""The arguments of remote calls, checked before anything is done, and the events made of them.

ValueError and TypeError name what is wrong.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pyro_events._broker.delivery.subscriber import ITEM_OVERHEAD
from pyro_events._protocol.decode_limits import LimitReached
from pyro_events._protocol.subjects import MAX_SUBJECT, check_control, check_subjects

if TYPE_CHECKING:
    from pyro_events._protocol.event import Item

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


def batch_items(batch: object, limit: int) -> list[Item]:
    """Make the events of many publishes; raises ValueError or TypeError before anything is done."""
    if not isinstance(batch, list):
        raise TypeError(f"batch must be a list, not {type(batch).__name__}")
    now = time.time()
    items: list[Item] = []
    try:
        for subjects, body, opaque in batch:
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
    except ValueError as error:
        if "unpack" in str(error):
            raise TypeError("batch must hold [subjects, body, opaque]") from None
        raise
    return items


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
