"""Keeps the entries of the timeline, in a file of bounded size."""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from typing import TYPE_CHECKING, Any

from pyroctl.errors import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_ENTRIES = 2000
MOST_BYTES = 1 << 20
"""Then a new file begins, and the one before is kept."""

log = logging.getLogger(__name__)


class Journal:
    """Entries in order of time; what can't be written is kept in memory, and logged once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._entries: deque[dict[str, Any]] = deque(_read(path), MOST_ENTRIES)
        self._failed = False

    def add(self, entry: dict[str, Any]) -> None:
        """Add an entry."""
        self._entries.append(entry)
        try:
            with open(self._path, "a", encoding="utf-8", opener=_private) as file:
                file.write(json.dumps(entry) + "\n")
                if file.tell() > MOST_BYTES:
                    os.replace(self._path, f"{self._path}.1")
        except OSError as error:
            if not self._failed:
                log.warning("the timeline can't be written: %s", describe(error))
            self._failed = True

    def since(self, time: float) -> list[dict[str, Any]]:
        """Return the entries since then, newest first."""
        return [each for each in reversed(self._entries) if each["time"] >= time]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _read(path: str) -> Iterator[dict[str, Any]]:
    for each in (f"{path}.1", path):
        try:
            with open(each, encoding="utf-8", errors="replace") as file:
                for line in file:
                    found = _parsed(line)
                    if found is not None:
                        yield found
        except OSError:
            continue


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
        return found if isinstance(found["time"], int | float) else None
    except (ValueError, TypeError, KeyError):
        return None
