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
    finished: set[str] = set()
    for first in needs:
        path: list[str] = []
        cycle = _walk(first, needs, path, finished)
        if cycle:
            return cycle
    return ()


def _walk(
    name: str, needs: Mapping[str, Sequence[str]], path: list[str], finished: set[str]
) -> tuple[str, ...]:
    if name in path:
        return (*path[path.index(name) :], name)
    if name in finished:
        return ()
    path.append(name)
    for other in needs.get(name, ()):
        cycle = _walk(other, needs, path, finished)
        if cycle:
            return cycle
    path.pop()
    finished.add(name)
    return ()
