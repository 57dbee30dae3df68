"""What has happened to a service since its manager started, in numbers. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyroctl.core.histogram import Histogram
from pyroctl.core.state import Exited, Ready, State, Unhealthy

if TYPE_CHECKING:
    from pyroctl.core.outcome import Outcome
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.core.state import Event, ServiceState

RESTARTS = ("crash", "hung", "memory", "cpu", "needs", "command")
"""Why a service got a new process: it ended by itself, did not answer, used too much, follows a
service that it needs, or somebody asked for it."""
EXITS = ("success", "failure", "signal")
"""How a process ended."""


@dataclass(slots=True)
class ServiceCounters:
    """Counts events of a service."""

    restarts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(RESTARTS, 0)))
    exits: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(EXITS, 0)))
    ready_seconds: float | None = None
    """From the last start until it was ready."""
    checks: Histogram = field(default_factory=Histogram)
    """How long the checks of its watchdog took."""
    failed_checks: int = 0
    _trouble: str = "crash"
    """Why it is being stopped, unless anybody asked for that."""

    def note(
        self, spec: ServiceSpec, event: Event, before: ServiceState, after: ServiceState, at: float
    ) -> None:
        """Count what an event at the time `at` has changed."""
        match event:
            case Unhealthy(cause=cause) if after.state is State.STOPPING:
                self._trouble = cause
            case Exited(outcome) if before.state not in {State.STOPPED, State.FAILED}:
                self.exits[_how(outcome, spec)] += 1
            case Ready() if before.state is State.STARTING:
                self.ready_seconds = at - before.since
        if after.state is State.STARTING and before.state in {State.STOPPING, State.BACKOFF}:
            self._count_restart(before, after)

    def checked(self, seconds: float, *, answered: bool) -> None:
        """Count a check of the watchdog."""
        self.checks.observe(seconds)
        self.failed_checks += not answered

    def plain(self) -> dict[str, Any]:
        """Return them for JSON."""
        return {
            "restarts": dict(self.restarts),
            "exits": dict(self.exits),
            "ready_seconds": self.ready_seconds,
            "watchdog": {**self.checks.plain(), "failures": self.failed_checks},
        }

    def _count_restart(self, before: ServiceState, after: ServiceState) -> None:
        if after.restarts > before.restarts:
            why, self._trouble = self._trouble, "crash"
        else:
            why = "needs" if before.because else "command"
        self.restarts[why] += 1


def _how(outcome: Outcome, spec: ServiceSpec) -> str:
    if outcome.signal is not None:
        return "signal"
    return "success" if outcome.succeeded(spec.success_exit) else "failure"
