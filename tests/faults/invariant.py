"""What must hold after every fault, as a function of what was seen before and now. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.fault import Effect

MORE_DESCRIPTORS = 4
"""A process may hold some for a moment, such as for a call in progress."""
MORE_KIB = 48 << 10
"""Memory of a process beyond what it had in the beginning: full queues, of 16 MiB each, and the
holes that they leave."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A deployment at one moment.

    The keys are services, `manager`, `cleanup` (its cleanup process) and `fdstore`.
    """

    states: Mapping[str, str]
    pids: Mapping[str, int]
    restarts: Mapping[str, int]
    strangers: tuple[str, ...] = ()
    """Commands of processes of the deployment that none of `pids` stands for."""
    zombies: tuple[int, ...] = ()
    """Dead children of its processes."""
    rss_kib: Mapping[str, int] | None = None
    descriptors: Mapping[str, int] | None = None


def violations(first: Seen, before: Seen, now: Seen, effect: Effect) -> list[str]:
    """Return what doesn't hold; `first` is from the beginning, when all was well."""
    found = [
        f"{name} is {now.states.get(name, 'unknown')}"
        for name in before.states
        if now.states.get(name) != "running"
    ]
    found += [f"no {role}" for role in first.pids if role not in now.pids]
    found += [f"one too many: {command}" for command in now.strangers]
    found += [f"zombie {pid}" for pid in now.zombies]
    for name, pid in now.pids.items():
        if name not in effect.touched and pid != before.pids.get(name, pid):
            found.append(f"{name} has another process, {pid} instead of {before.pids[name]}")
    for name, count in effect.restarts.items():
        seen = now.restarts.get(name, 0) - before.restarts.get(name, 0)
        if seen != count:
            found.append(f"{name} was restarted {seen} times, not {count}")
    return [*found, *_growth(first, now)]


def _growth(first: Seen, now: Seen) -> list[str]:
    if now.descriptors is None or first.descriptors is None:
        return []
    assert now.rss_kib is not None
    assert first.rss_kib is not None
    found = []
    for role, count in now.descriptors.items():
        usual = first.descriptors.get(role, count)
        if count > usual + MORE_DESCRIPTORS:
            found.append(f"{role} has {count} descriptors, {usual} in the beginning")
    for role, kib in now.rss_kib.items():
        usual = first.rss_kib.get(role, kib)
        if kib > usual + MORE_KIB:
            found.append(f"{role} has {kib} KiB, {usual} in the beginning")
    return found
