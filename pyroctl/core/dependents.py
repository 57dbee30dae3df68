"""What happens to services when one that they need restarts or fails. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.core.spec import TaskOptions
from pyroctl.core.state import USABLE, AfterStop, Restart, State, Stop

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyroctl.core.key_types import OnNeeds
    from pyroctl.core.outcome import Outcome
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.core.state import ServiceState

_UP = frozenset({State.STARTING, State.RUNNING})
_AGAIN = _UP | {State.STOPPING}
_WANTED = _UP | {State.BACKOFF}


@dataclass(frozen=True, slots=True)
class Dependent:
    """A service that needs another one."""

    name: str
    on_needs: OnNeeds
    state: State
    has_process: bool


def is_usable(spec: ServiceSpec, state: ServiceState, ended: Outcome | None) -> bool:
    """Return whether services that need this one can start: it is ready, or has done its work.

    `ended` is how its last run ended. A task has done its work when that ended well; it may run
    again meanwhile if it has a schedule.
    """
    if not isinstance(spec.options, TaskOptions):
        return state.state in USABLE
    if ended is None or not ended.succeeded(spec.success_exit):
        return False
    if state.state is State.EXITED:
        return state.outcome is not None
    return spec.options.scheduled and state.state in _AGAIN


def follow(
    need: str, state: ServiceState, dependents: Iterable[Dependent]
) -> dict[str, Stop | Restart]:
    """Return the events for the dependents of a service that has just changed to `state`.

    A process that exists when a need becomes ready was started for the previous process of that
    need, since none is started before all needs are ready: so any restart of a need is noticed.
    """
    found: dict[str, Stop | Restart] = {}
    for each in dependents:
        if each.on_needs == "stop" and _is_down(state) and each.state in _WANTED:
            why = f": {state.reason}" if state.reason else ""
            found[each.name] = Stop(f"{need} went down{why}")
        old = each.has_process and each.state in _UP
        if each.on_needs == "restart" and state.state is State.RUNNING and old:
            found[each.name] = Restart(f"{need} was restarted")
    return found


def affected(
    names: Iterable[str], needs: Mapping[str, Sequence[str]], policies: Mapping[str, OnNeeds]
) -> set[str]:
    """Return these services and all that would follow if they were restarted."""
    edges = {
        need: [name for name in dependents if policies[name] != "keep"]
        for need, dependents in plan.reverse(needs).items()
    }
    return plan.closure(names, edges)


def _is_down(state: ServiceState) -> bool:
    """Return whether it is unusable; after a run that has just ended its policy decides later."""
    judging = state.state is State.STOPPING and state.then is AfterStop.JUDGE
    return state.state not in USABLE and not judging
