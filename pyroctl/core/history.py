"""How the last runs of a service ended, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pyroctl.core.outcome import Outcome
    from pyroctl.core.state import State

KEPT = 20
"""How many runs the history has."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one run."""

    time: datetime
    pid: int | None
    """None if no process could be created."""
    outcome: Outcome
    reason: str
    """Why it ended, for people: what was requested, or what happened."""
    uptime: float | None
    """Seconds for which it was ready; None if it never was."""
    then: State | None = None
    """The state that followed; None until that is decided."""


History = tuple[Ending, ...]
"""Oldest first."""


def remember(history: History, ending: Ending) -> History:
    """Return the history with another ending, without the oldest beyond `KEPT`."""
    return (*history, ending)[-KEPT:]


def conclude(history: History, then: State) -> History:
    """Return the history with the state that followed the last run."""
    if not history or history[-1].then is not None:
        return history
    return (*history[:-1], replace(history[-1], then=then))
