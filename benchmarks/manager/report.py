"""The figures as Markdown."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.manager.lifecycle import Life
    from benchmarks.manager.logging_rate import Rate
    from benchmarks.manager.processes import Cost


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def ms(seconds: float) -> str:
    """Show milliseconds."""
    return f"{seconds * 1000:.0f} ms"


def mib(size: float) -> str:
    """Show mebibytes."""
    return f"{size / (1 << 20):.1f} MiB"


def lives(found: Mapping[str, Sequence[Life]], count: int, idle: float) -> str:
    """Compare whole lives; a figure that a manager has none of is a dash."""
    rows: list[tuple[str, Callable[[Life], float | None], Callable[[float], str]]] = [
        (f"launch → {count} × `sleep` running", lambda life: life.startup, ms),
        ("… processor time", lambda life: life.startup_cpu, ms),
        ("`status`, elapsed", lambda life: life.status and life.status.wall, ms),
        ("`status`, CPU", lambda life: life.status and life.status.cpu, ms),
        ("killed → running again", lambda life: life.crash or None, ms),
        ("stop all, until done", lambda life: life.stop, ms),
        ("resident memory", lambda life: life.rss, mib),
        ("… with shared pages divided", lambda life: life.pss, mib),
        (f"context switches in {idle:g} idle s", lambda life: life.idle_switches, "{:.0f}".format),
        (f"CPU in {idle:g} idle s", lambda life: life.idle_cpu, ms),
    ]
    return table(
        ["", *found],
        [
            [what, *(_shown(map(figure, all_), show) for all_ in found.values())]
            for what, figure, show in rows
        ],
    )


def start_against(found: Mapping[str, Sequence[Life]], ours: str, other: str, aim: float) -> str:
    """Compare two managers' starts, round by round."""
    if not {ours, other} <= found.keys():
        return ""
    pairs = list(zip(found[ours], found[other], strict=True))
    rows = []
    for what, figure in (("elapsed", "startup"), ("processor time", "startup_cpu")):
        ratios = [getattr(one, figure) / getattr(two, figure) for one, two in pairs]
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        rows.append([what, f"≤ {aim} ×", f"{median(ratios):.2f} × ({spread})"])
    return table([f"start of {ours} ÷ {other}", "aim", "found"], rows)


def rates(found: Mapping[tuple[str, str], Sequence[Rate]], size: int) -> str:
    """Compare how fast output is taken."""
    rows = []
    for (how, name), all_ in found.items():
        seconds, cpu = (median(rate[i] for rate in all_) for i in (0, 1))
        lost = sum(rate.lost for rate in all_)
        rows.append([how, name, f"{size / seconds:.0f} MiB/s", ms(cpu), str(lost)])
    return table(["the service writes", "", "rate", "manager's CPU", "lines lost"], rows)


def readiness(found: Mapping[str, Sequence[Cost]], base: str) -> str:
    """Show what services cost from nothing until ready, beyond what `base` costs."""
    walls = {name: median(cost.wall for cost in costs) for name, costs in found.items()}
    cpus = {name: median(cost.cpu for cost in costs) for name, costs in found.items()}
    rows = [
        [
            name,
            ms(walls[name]),
            ms(cpus[name]),
            *(["–", "–"] if name == base else _beyond(walls, cpus, name, base)),
        ]
        for name in found
    ]
    head = ["until ready", "elapsed", "CPU", "elapsed beyond import", "CPU beyond import"]
    return table(head, rows)


def _beyond(
    walls: Mapping[str, float], cpus: Mapping[str, float], name: str, base: str
) -> list[str]:
    return [ms(walls[name] - walls[base]), f"**{ms(cpus[name] - cpus[base])}**"]


def _shown(figures: map[float | None], show: Callable[[float], str]) -> str:
    known = [figure for figure in figures if figure is not None]
    return show(median(known)) if known else "–"
