"""Faults of processes: killed or stopped, at random moments, also in the middle of commands."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from tests.faults.fault import Effect, Fault, NotSurvived
from tests.faults.scene import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.faults.fault import Where
    from tests.faults.scene import Scene

    Inject = Callable[[Scene, Random], Effect]

ALL = frozenset((*SERVICES, "manager", "cleanup", "fdstore"))
HELPERS = ("cleanup", "fdstore")
MANAGER = frozenset({"manager", "cleanup"})
"""Processes that a new manager replaces."""
_LONGEST_COMMAND = 1.0
"""Seconds within which a command is disturbed."""


def kill(role: str) -> Inject:
    """Return a fault that kills a process."""

    def inject(scene: Scene, _chance: Random) -> Effect:
        scene.killed(role)
        if role in HELPERS:
            return Effect(frozenset({role}))
        if role != "manager":
            return Effect(frozenset({role}), {role: 1})
        scene.start()
        return Effect(MANAGER if scene.adopts else ALL)

    return inject


def kill_with(role: str, other: str) -> Inject:
    """Return a fault that kills two processes at once."""

    def inject(scene: Scene, chance: Random) -> Effect:
        scene.kill(role)
        time.sleep(chance.choice([0.0, 0.0, 0.02]))
        scene.killed(other)
        if "manager" in (role, other):
            scene.start()
        if "manager" in (role, other) and not (scene.adopts and {role, other} & {*SERVICES}):
            return Effect(ALL)
        return Effect(frozenset({role, other, "manager", "cleanup"}))

    return inject


def freeze(role: str) -> Inject:
    """Return a fault that stops a process for a while (SIGSTOP)."""

    def inject(scene: Scene, chance: Random) -> Effect:
        scene.kill(role, signal.SIGSTOP)
        try:
            time.sleep(chance.uniform(0.05, 1.5))
        finally:
            scene.kill(role, signal.SIGCONT)
        return Effect()

    return inject


def during(role: str, *command: str) -> Inject:
    """Return a fault that kills a process while a command runs."""

    def inject(scene: Scene, chance: Random) -> Effect:
        with scene.deployment.popen(*command) as running:
            time.sleep(chance.uniform(0.0, _LONGEST_COMMAND))
            scene.killed(role)
            if role == "manager":
                scene.start()
            out, err = running.communicate(timeout=50)
        if "Traceback" in err:
            raise NotSurvived(f"{' '.join(command)} ended with {err}\n{out}")
        scene.start()
        return Effect(ALL)

    return inject


def changed(role: str) -> Inject:
    """Return a fault that kills a process while a changed configuration is loaded."""

    def inject(scene: Scene, chance: Random) -> Effect:
        number = chance.randrange(1 << 30)
        scene.configure(f"\n[services.ticker.env]\nNUMBER = '{number}'\n")
        return during(role, "reload", "--yes")(scene, chance)

    return inject


_COMMANDS: dict[str, tuple[str, ...]] = {
    "restart es": ("restart", "es", "--yes"),
    "handover of es": ("restart", "es", "--handover", "--yes"),
    "restart ns": ("restart", "ns", "--yes"),
    "restart all": ("restart", "--yes"),
    "stop counter": ("stop", "counter"),
}
_KILLED: tuple[tuple[Where, tuple[str, ...], tuple[str, ...]], ...] = (
    ("adopt", (*SERVICES, "manager", *HELPERS), ("manager", "es", "fdstore")),
    ("stop", (*SERVICES, "manager", "cleanup"), ("manager", "ns")),
)
_DISTURBED: tuple[tuple[str, Where], ...] = (("es", "adopt"), ("ns", "stop"), ("manager", "adopt"))

FAULTS = [
    *(
        Fault(f"kill {role}, orphans = {mode}", kill(role), mode, quick=role in quick)
        for mode, roles, quick in _KILLED
        for role in roles
    ),
    Fault("kill ns and es", kill_with("ns", "es")),
    Fault("kill manager and es", kill_with("manager", "es")),
    Fault("kill manager and fdstore", kill_with("manager", "fdstore")),
    Fault("kill manager and cleanup", kill_with("manager", "cleanup"), "stop"),
    *(Fault(f"stop {role} for a while", freeze(role)) for role in (*SERVICES, "manager", *HELPERS)),
    *(
        Fault(f"kill {role} during {name}", during(role, *command), mode)
        for name, command in _COMMANDS.items()
        for role, mode in _DISTURBED
    ),
    Fault("kill manager during reload", changed("manager")),
    Fault("kill ticker during reload", changed("ticker"), "stop"),
]
