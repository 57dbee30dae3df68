"""What a check finds: how bad it is, what, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Level(IntEnum):
    """How bad it is."""

    OK = 0
    NOTE = 1
    """Worth knowing."""
    WARNING = 2
    """It will go wrong, or does so at times."""
    PROBLEM = 3
    """It is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    level: Level
    text: str
    place: str
    """A file with its line, a service, an address: where to look."""
    remedy: str
    service: str | None = None

    def plain(self, number: int) -> dict[str, Any]:
        """Return it for JSON, with the number of its check."""
        return {
            "check": number,
            "level": self.level.name.lower(),
            "text": self.text,
            "place": self.place,
            "remedy": self.remedy,
            "service": self.service,
        }


def problem(text: str, place: str, remedy: str, service: str | None = None) -> Finding:
    """Return something that is wrong."""
    return Finding(Level.PROBLEM, text, place, remedy, service)


def warning(text: str, place: str, remedy: str, service: str | None = None) -> Finding:
    """Return something that will go wrong."""
    return Finding(Level.WARNING, text, place, remedy, service)


def note(text: str, place: str, remedy: str, service: str | None = None) -> Finding:
    """Return something worth knowing."""
    return Finding(Level.NOTE, text, place, remedy, service)
