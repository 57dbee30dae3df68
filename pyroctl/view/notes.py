"""What has happened to services, from the manager's notes in their logs. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyroctl.core.state import State
from pyroctl.printable import log_text
from pyroctl.view.lines import Line, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTE = "[pyroctl] "
"""How a line begins that the manager has written into a service's log."""
PATTERN = re.compile(r"^\[pyroctl\] ")
_STATES = {str(state) for state in State}


def is_note(text: str) -> bool:
    """Return whether a line of a log is a note of the manager."""
    return text.startswith(NOTE)


def role_of(text: str) -> str:
    """Return the state that a note reports, or ""."""
    word = text.removeprefix(NOTE).partition(":")[0]
    return word if word in _STATES else ""


def entry(time: str, service: str, text: str, width: int) -> Line:
    """Return a line of the timeline; `width` is that of the column of services."""
    told = log_text(text.removeprefix(NOTE))
    parts = (
        Part(f"{clock(time, date=True)}  ", "time"),
        Part(f"{service:<{width}}  "),
        Part(told, role_of(text)),
    )
    return Line(service, parts)


def clock(time: str, *, date: bool = False) -> str:
    """Return the time of a line, an ISO time, as people read it; with the date if asked."""
    day, separator, rest = time.partition("T")
    if not separator:
        return time
    return f"{day} {rest[:8]}" if date else rest[:8]


def widest(names: Sequence[str]) -> int:
    """Return the width of a column of names."""
    return max(map(len, names), default=0)
