"""What becomes of services when one that they need is restarted, or fails. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.core.state import AfterStop, Restart, State, Stop, is_usable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyroctl.core.spec import OnNeeds
    from pyroctl.core.state import ServiceState

_UP = frozenset({State.STARTING, State.RUNNING})
_WANTED = _UP | {State.BACKOFF}


@dataclass(frozen=True, slots=True)
class Dependent:
    """A service that needs another one."""

    name: str
    on_needs: OnNeeds
    state: State
    has_process: bool


def follow(
    need: str, life: ServiceState, dependents: Iterable[Dependent]
) -> dict[str, Stop | Restart]:
    """Say what is to happen to the dependents of a service that has just changed to `life`.

    A process that exists when a need becomes ready was started for that need's last one: since no
    process is created before all needs are ready, this is how a restart shows, whatever the reason.
    """
    found: dict[str, Stop | Restart] = {}
    for each in dependents:
        if each.on_needs == "stop" and _is_down(life) and each.state in _WANTED:
            why = f": {life.reason}" if life.reason else ""
            found[each.name] = Stop(f"{need} went down{why}")
        old = each.has_process and each.state in _UP
        if each.on_needs == "restart" and life.state is State.RUNNING and old:
            found[each.name] = Restart(f"{need} was restarted")
    return found


def affected(
    names: Iterable[str], needs: Mapping[str, Sequence[str]], policies: Mapping[str, OnNeeds]
) -> set[str]:
    """Give these services, and all that would follow if they were restarted."""
    edges = {
        need: [name for name in dependents if policies[name] != "keep"]
        for need, dependents in plan.reverse(needs).items()
    }
    return plan.closure(names, edges)


def _is_down(life: ServiceState) -> bool:
    """Tell whether it can't be used; of a run that has just ended, its policy says that later."""
    judging = life.state is State.STOPPING and life.then is AfterStop.JUDGE
    return not is_usable(life) and not judging
