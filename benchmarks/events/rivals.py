"""The event service against rivals at their best: processor time first, then rates.

Processor time is that of all processes together for one delivery. Ratios are ours divided by the
rival's of the same round.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.events import markdown, systems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.events.measure import Flow
    from benchmarks.events.runs import Results
    from benchmarks.events.system import System

FAN_OUTS = (1, 10, 50)
_WORK_AIMS: tuple[tuple[System, int, float], ...] = (
    (systems.SINGLE, 1, 0.7),
    (systems.SINGLE, 10, 0.7),
    (systems.SINGLE, 50, 0.6),
    (systems.ZENOH_PEERS, 1, 0.65),
    (systems.SINGLE_MSGSPEC, 1, 1.0),
    (systems.SINGLE_MSGSPEC, 10, 1.0),
)
"""Our processor time, as a part of the rival's at that fan-out."""
_ACKED_AIMS: tuple[tuple[System, System, float], ...] = (
    (systems.STREAM_ACKED, systems.REDIS_ACKED, 1.0),
    (systems.STREAM_ACKED_UNIX, systems.REDIS_ACKED_UNIX, 0.9),
)
"""Our rate, as a multiple of the rival's."""
_LATENCY_AIM = 0.95
_MEMORY_AIM = 80_000_000 / 1024


def table(results: Results) -> str:
    """Show every rival, also the one that is not there, with what it gives up."""
    ours = {n: results.flows.get((systems.STREAM.name, n), []) for n in FAN_OUTS}
    if not any(ours.values()):
        return ""
    rows = [[systems.STREAM.title, *(_cell(ours[n], []) for n in FAN_OUTS), "–"]]
    for system in systems.BEST:
        runs = [results.flows.get((system.name, n), []) for n in FAN_OUTS]
        cells = [
            "failed" if (system.name, n) in results.failed else _cell(each, ours[n])
            for each, n in zip(runs, FAN_OUTS, strict=True)
        ]
        if system.name in results.missing:
            cells = [f"not installed: {results.missing[system.name]}", "", ""]
        rows.append([system.title, *cells, system.gives_up])
    head = ["system", *(f"1→{n}" for n in FAN_OUTS), "what it gives up"]
    note = (
        "µs of processor time for a delivery (publisher for a message / broker / subscriber), "
        "deliveries per second, and **our processor time ÷ theirs**.\n"
    )
    return markdown.table(head, rows) + "\n" + note


def numbers(results: Results) -> str:
    """Show what was to be reached, and how far it is."""
    head = ["ours ÷ rival", "aim", "found", "by rate", ""]
    return markdown.table(head, [*_work(results), *_acked(results), *_others(results)])


def _work(results: Results) -> Iterator[list[str]]:
    for rival, fan_out, aim in _WORK_AIMS:
        ours = results.flows.get((systems.STREAM.name, fan_out))
        theirs = results.flows.get((rival.name, fan_out))
        what = f"processor time 1→{fan_out}, {rival.title}"
        if ours and theirs:
            ratios = _ratios(ours, theirs, lambda run: run.work)
            rates = _ratios(ours, theirs, lambda run: run.delivered)
            yield [what, f"≤ {aim:g} ×", _times(ratios), _times(rates), _met(median(ratios) <= aim)]
        else:
            yield [what, f"≤ {aim:g} ×", "not measured", "", ""]


def _acked(results: Results) -> Iterator[list[str]]:
    for us, rival, aim in _ACKED_AIMS:
        ours, theirs = (results.flows.get((system.name, 1)) for system in (us, rival))
        what = f"rate of acknowledged publishes, {rival.title}"
        if ours and theirs:
            ratios = _ratios(ours, theirs, lambda run: run.published)
            work = _times(_ratios(ours, theirs, lambda run: run.work))
            met = _met(median(ratios) >= aim)
            yield [what, f"≥ {aim:g} ×", _times(ratios), f"processor time {work}", met]
        else:
            yield [what, f"≥ {aim:g} ×", "not measured", "", ""]


def _others(results: Results) -> Iterator[list[str]]:
    ours = results.latencies.get(systems.STREAM_ACKED.name)
    theirs = results.latencies.get(systems.REDIS.name)
    aim = f"≤ {_LATENCY_AIM:g} ×"
    if ours and theirs:
        ratios = [a.p50 / b.p50 for a, b in zip(ours, theirs, strict=True)]
        met = _met(median(ratios) <= _LATENCY_AIM)
        yield ["p50 of `publish` at 200/s, Redis", aim, _times(ratios), "", met]
    else:
        yield ["p50 of `publish` at 200/s, Redis", aim, "not measured", "", ""]
    idle = results.idle.get((systems.STREAM.name, 5000))
    if idle is not None:
        found = f"{idle.with_kib * 1024 / 1e6:.0f} MB"
        met = _met(idle.with_kib <= _MEMORY_AIM)
        yield ["memory of the service, 5,000 idle subscribers", "≤ 80 MB", found, "", met]


def _cell(runs: Sequence[Flow], ours: Sequence[Flow]) -> str:
    if not runs:
        return "–"
    shares = (
        median(getattr(run, name) for run in runs)
        for name in ("publisher_us", "broker_us", "subscriber_us")
    )
    work = markdown.span([run.work for run in runs], 2)
    parts = " / ".join(f"{share:.2f}" for share in shares)
    rate = markdown.rounded(median(run.delivered for run in runs))
    text = f"{work} µs ({parts}); {rate}/s"
    lost = max(run.lost / (run.messages * run.fan_out) for run in runs)
    text += f"; lost {lost:.1%}" if lost > 0 else ""
    if len(ours) == len(runs):
        text += f"; **{median(_ratios(ours, runs, lambda run: run.work)):.2f} ×**"
    return text


def _ratios(
    ours: Sequence[Flow], theirs: Sequence[Flow], value: Callable[[Flow], float]
) -> list[float]:
    """Compare round by round, so that what disturbed the machine disturbed both."""
    return [value(a) / value(b) for a, b in zip(ours, theirs, strict=True)]


def _times(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} × ({min(ratios):.2f}–{max(ratios):.2f})"


def _met(met: bool) -> str:
    return "met" if met else "**missed**"
