"""How a service's last runs ended, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pyroctl.core.outcome import Outcome
    from pyroctl.core.state import State

KEPT = 20
"""Number of endings that are kept."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one run."""

    time: datetime
    pid: int | None
    """None if no process was created."""
    outcome: Outcome
    reason: str
    """Why it ended, for users: the command, or what happened."""
    uptime: float | None
    """Seconds for which it was ready; None if it never was."""
    then: State | None = None
    """What the service did after that; None while it is undecided."""


History = tuple[Ending, ...]
"""The oldest first."""


def remember(history: History, ending: Ending) -> History:
    """Add an ending, and drop the oldest if there are too many."""
    return (*history, ending)[-KEPT:]


def conclude(history: History, then: State) -> History:
    """Record what the service did after its last run."""
    if not history or history[-1].then is not None:
        return history
    return (*history[:-1], replace(history[-1], then=then))
