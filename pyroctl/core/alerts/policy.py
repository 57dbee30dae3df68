"""Which changes of a service's state are worth an alert. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyroctl.core.instances import common_name
from pyroctl.core.state import State

if TYPE_CHECKING:
    from pyroctl.core.alerts.spec import AlertsSpec
    from pyroctl.core.state import ServiceState

UNHEALTHY, HEALTHY = "unhealthy", "healthy"
"""What a running service becomes when its watchdog complains, and when it no longer does."""
TROUBLE = frozenset({UNHEALTHY, str(State.BACKOFF), str(State.FAILED)})


@dataclass(frozen=True, slots=True)
class Quiet:
    """The alerts about one service."""

    until: float = 0.0
    """The monotonic time until which no other one is sent."""
    suppressed: int = 0
    """Alerts since the last one that was sent."""
    troubled: bool = False
    """Whether its last alert was about trouble."""


def is_wanted(spec: AlertsSpec, name: str, state: str, found: ServiceState, quiet: Quiet) -> bool:
    """Return whether a service's change to a state is one that people want to hear of.

    They know what they have asked for: a stop by command is quiet, and `running` means that it
    has recovered.
    """
    if state not in spec.on or (spec.services and not {name, common_name(name)} & {*spec.services}):
        return False
    if state == State.STOPPED:
        return bool(found.because)
    return quiet.troubled if state in {State.RUNNING, HEALTHY} else True


def decide(spec: AlertsSpec, state: str, quiet: Quiet, now: float) -> tuple[Quiet, bool]:
    """Return what is known after an alert that is wanted, and whether it is sent now."""
    quiet = replace(quiet, troubled=state in TROUBLE)
    if now < quiet.until:
        return replace(quiet, suppressed=quiet.suppressed + 1), False
    return Quiet(now + spec.interval, 0, quiet.troubled), True
