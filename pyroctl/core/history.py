"""How a service's last runs ended, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pyroctl.core.outcome import Outcome
    from pyroctl.core.state import State

KEPT = 20
"""How many are remembered."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one run."""

    time: datetime
    pid: int | None
    """None if it never came to a process."""
    outcome: Outcome
    reason: str
    """Why it ended, for people: what was asked for, or what happened to it."""
    uptime: float | None
    """Seconds for which it was ready; None if it never was."""
    then: State | None = None
    """What the service did after that; None as long as that isn't decided."""


History = tuple[Ending, ...]
"""The oldest first."""


def remember(history: History, ending: Ending) -> History:
    """Add an ending, and forget what is too long ago."""
    return (*history, ending)[-KEPT:]


def conclude(history: History, then: State) -> History:
    """Note what the service did after its last run."""
    if not history or history[-1].then is not None:
        return history
    return (*history[:-1], replace(history[-1], then=then))
