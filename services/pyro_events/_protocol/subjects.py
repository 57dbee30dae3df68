"""Checks of subjects and patterns; the error names the invalid one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyro_events._protocol.patterns import Pattern

MAX_SUBJECT = 255
"""Characters that a subject may have."""
RESERVED = "pyroctl."
"""How the subjects begin that only the manager may publish; case doesn't matter."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class ReservedSubject(ValueError):
    """A client publishes a subject of the manager."""


def check_subjects(subjects: object) -> tuple[str, ...]:
    """Return one subject or a sequence of them as a tuple, in order and as written.

    Raises TypeError for anything but text, and ValueError for a subject that is empty, too long or
    has control characters.
    """
    if type(subjects) is str and 0 < len(subjects) <= MAX_SUBJECT and _is_plain(subjects):
        return (subjects,)  # the most common case
    texts = _texts(subjects, "subject")
    for text in texts:
        if len(text) > MAX_SUBJECT:
            raise ValueError(
                f"subject {text[:40]!r}… has {len(text)} characters; "
                f"at most {MAX_SUBJECT} are allowed"
            )
        check_control(text, "subject")
    return texts


def is_reserved(name: str) -> bool:
    """Return whether only the manager may publish a subject, in lower case."""
    return name.startswith(RESERVED)


def check_publishable(subjects: object) -> tuple[str, ...]:
    """Return subjects as `check_subjects`; raises ReservedSubject for one of the manager's."""
    texts = check_subjects(subjects)
    for text in texts:
        if is_reserved(text.lower()):
            raise ReservedSubject(
                f"subject {text!r:.60} is reserved: only the manager publishes subjects that "
                f"begin with {RESERVED!r}"
            )
    return texts


def check_patterns(patterns: object) -> tuple[Pattern, ...]:
    """Return one pattern or a sequence of them, compiled, in order.

    Raises TypeError for anything but text, and ValueError for a pattern that is empty, too long,
    not a regular expression, or too costly to compile.
    """
    return tuple(map(Pattern, check_pattern_texts(patterns)))


def check_pattern_texts(patterns: object) -> tuple[str, ...]:
    """Return one pattern or a sequence of them as a tuple, in order, without compiling them.

    Raises TypeError for anything but text, and ValueError for an empty one.
    """
    return _texts(patterns, "pattern")


def check_texts(texts: object) -> tuple[str, ...]:
    """Return what to unsubscribe from as a tuple: subjects, or patterns, which may be longer.

    Raises as `check_subjects`.
    """
    if isinstance(texts, str):
        texts = [texts]
    if isinstance(texts, (list, tuple)) and texts and all(isinstance(t, str) and t for t in texts):
        for text in texts:
            check_encodable(text, "subject")
        return tuple(texts)
    return check_subjects(texts)


def _texts(given: object, what: str) -> tuple[str, ...]:
    if isinstance(given, str):
        texts: tuple[object, ...] = (given,)
    elif isinstance(given, Sequence) and not isinstance(given, (bytes, bytearray, memoryview)):
        texts = tuple(given)
    else:
        raise TypeError(
            f"{what}s must be a str or a sequence of str, not {type(given).__name__}: {given!r:.60}"
        )
    if not texts:
        raise ValueError(f"no {what} given: the sequence is empty")
    return tuple(
        _text(text, f"{what}s[{i}]" if len(texts) > 1 else what) for i, text in enumerate(texts)
    )


def _text(text: object, place: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{place} must be a str, not {type(text).__name__}: {text!r:.60}")
    if not text:
        raise ValueError(f"{place} is empty")
    check_encodable(text, place)
    return str(text)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def has_control(text: str) -> bool:
    """Return whether there are control characters in the text, such as those of a terminal."""
    return _CONTROL.search(text) is not None


def check_control(text: str, what: str) -> None:
    """Raise ValueError if there are control characters in the text."""
    if has_control(text):
        raise ValueError(f"{what} {text!r:.60} has control characters, which are not allowed")


def check_encodable(text: str, place: str) -> None:
    """Raise ValueError, with the place, for text that is not valid Unicode."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{place} {text!r:.60} can't be encoded: {error.reason}") from None
