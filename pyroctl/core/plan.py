"""In which order services start and stop: dependency closure, waves, cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Waves = tuple[tuple[str, ...], ...]


def closure(names: Iterable[str], edges: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the names and everything that is reached from them along the edges."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(edges.get(name, ()))
    return found


def reverse(needs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Reverse the graph: return which services need each service."""
    needed_by: dict[str, list[str]] = {name: [] for name in needs}
    for name, needed in needs.items():
        for other in needed:
            needed_by.setdefault(other, []).append(name)
    return needed_by


def start_waves(names: Iterable[str], needs: Mapping[str, Sequence[str]]) -> Waves:
    """Order the names and all that they need: a wave can start when those before it are ready.

    Raises ValueError if they need each other in a cycle.
    """
    todo = closure(names, needs)
    waves: list[tuple[str, ...]] = []
    done: set[str] = set()
    while todo:
        wave = tuple(name for name in needs if name in todo and done.issuperset(needs[name]))
        if not wave:
            cycle = find_cycle({name: needs[name] for name in needs if name in todo})
            raise ValueError("services need each other: " + " → ".join(cycle))
        waves.append(wave)
        done.update(wave)
        todo.difference_update(wave)
    return tuple(waves)


def stop_waves(names: Iterable[str], needs: Mapping[str, Sequence[str]]) -> Waves:
    """Order the names and all that depend on them: dependents come first."""
    going = closure(names, reverse(needs))
    inner = {name: [n for n in needs[name] if n in going] for name in needs if name in going}
    return tuple(reversed(start_waves(going, inner)))


def find_cycle(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return one cycle of needs, such as (a, b, a), or () if there is none."""
    left = dict(needs)
    while done := [name for name in left if left.keys().isdisjoint(left[name])]:
        for name in done:
            del left[name]
    path: list[str] = []
    following = next(iter(left), None)
    while following is not None and following not in path:  # what is left needs what is left
        path.append(following)
        following = next(name for name in left[following] if name in left)
    return () if following is None else (*path[path.index(following) :], following)
