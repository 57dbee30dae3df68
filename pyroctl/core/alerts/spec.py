"""The keys of `[alerts]`."""

from __future__ import annotations

from dataclasses import dataclass

from pyroctl.core.key_types import (  # noqa: TC001 - `core.keys` reads the types
    AlertStates,
    Command,
    Filled,
    Live,
    Names,
    Seconds,
)


@dataclass(frozen=True, slots=True)
class AlertsSpec:
    """Whom to tell of which changes of services' states."""

    on: Live[AlertStates] = ("failed", "unhealthy", "running")
    """The states of which to tell."""
    services: Live[Names] = ()
    """Without any: all."""
    command: Live[Command | None] = None
    """A program that gets the alert as JSON on its standard input."""
    publish: Live[Filled | None] = None
    """A subject under which the event services publish the alert."""
    interval: Live[Seconds] = 60.0
    """Shortest time between two alerts about one service."""
