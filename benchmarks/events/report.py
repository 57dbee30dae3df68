"""Figures as Markdown."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.events import rivals, systems
from benchmarks.events.markdown import span, table
from benchmarks.events.targets import verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.events.measure import Flow
    from benchmarks.events.runs import Results
    from benchmarks.events.system import System


def everything(results: Results) -> str:
    """Return all tables that there are figures for."""
    parts = [
        ("Against rivals at their best", rivals.table(results)),
        ("Numbers to reach", rivals.numbers(results)),
        ("Delivered per second", rates(results, systems.FLOWING)),
        ("Published per second, each message acknowledged", acked(results)),
        ("Latency at 200 messages a second", latencies(results)),
        ("Processor time, µs", costs(results)),
        ("1,000 patterns that match nothing", patterns(results)),
        ("Idle subscribers", idle(results)),
        ("Speed to reach", targets(results)),
    ]
    skipped = [f"{name} was skipped: it needs {what}." for name, what in results.missing.items()]
    skipped += [f"{name} failed at 1→{n}: {why}." for (name, n), why in results.failed.items()]
    return "\n".join([f"### {title}\n\n{text}" for title, text in parts if text] + skipped)


def rates(results: Results, wanted: Iterable[System]) -> str:
    """Compare what arrives in all subscribers together."""
    fan_outs = _fan_outs(results)
    rows = []
    for system in wanted:
        runs = {fan_out: results.flows.get((system.name, fan_out)) for fan_out in fan_outs}
        if any(runs.values()):
            cells = [span([run.delivered for run in each or ()]) for each in runs.values()]
            rows.append([system.title, *cells, _losses(runs.values())])
    return table(["system", *(f"1→{fan_out}" for fan_out in fan_outs), "lost"], rows)


def acked(results: Results) -> str:
    """Compare publishers that wait for each message."""
    fan_outs = _fan_outs(results)[:2]
    rows = []
    for system in systems.ACKED:
        runs = [results.flows.get((system.name, fan_out)) for fan_out in fan_outs]
        if any(runs):
            cells = [span([run.published for run in each or ()]) for each in runs]
            rows.append([system.title, *cells, _losses(runs)])
    return table(["system", *(f"1→{fan_out}" for fan_out in fan_outs), "lost"], rows)


def latencies(results: Results) -> str:
    """Compare milliseconds from before publishing until the callback."""
    rows = []
    for system in systems.PROMPT:
        runs = results.latencies.get(system.name)
        if runs:
            how = ", `publish`" if system.acked and system is not systems.THREADS else ""
            p50 = [run.p50 * 1000 for run in runs]
            p99 = [run.p99 * 1000 for run in runs]
            rows.append([system.title + how, span(p50, 2), span(p99, 2)])
    return table(["system", "p50, ms", "p99, ms"], rows)


def costs(results: Results) -> str:
    """Show who uses the processors, and the broker's share in the words of the question."""
    fan_outs = _fan_outs(results)
    head = ["system"]
    head += [f"1→{fan_out}: publisher / broker / subscriber" for fan_out in fan_outs]
    head += [f"broker, s per 100,000 at 1→{fan_out}" for fan_out in fan_outs]
    rows = []
    for system in systems.FLOWING:
        runs = [results.flows.get((system.name, fan_out), []) for fan_out in fan_outs]
        if any(runs):
            shares = [_cost(each) for each in runs]
            brokers = [_middle([run.broker_us / 10 for run in each], 2) for each in runs]
            rows.append([system.title, *shares, *brokers])
    note = "Publisher: per message; broker and subscribers: per delivery.\n"
    return table(head, rows) + "\n" + note if rows else ""


def patterns(results: Results) -> str:
    """Compare throughput with and without."""
    rows = []
    for system in systems.PATTERNS:
        without = results.patterns.get((system.name, False))
        with_them = results.patterns.get((system.name, True))
        if without and with_them:
            ratios = [b.delivered / a.delivered for a, b in zip(without, with_them, strict=True)]
            spans = [span([run.delivered for run in runs]) for runs in (without, with_them)]
            rows.append([system.title, *spans, f"{median(ratios):.0%}"])
    return table(["system", "none", "1,000", "kept"], rows)


def idle(results: Results) -> str:
    """Show memory and threads of brokers."""
    numbers = sorted({number for _, number in results.idle})
    head = ["system"]
    for number in numbers:
        head += [f"{number:,}: MiB", "of it for them", "threads"]
    rows = []
    for system in systems.IDLE:
        cells: list[str] = []
        for number in numbers:
            cost = results.idle.get((system.name, number))
            if cost is None:
                cells += ["–", "–", "–"]
            else:
                more = cost.with_kib - cost.before_kib
                cells += [f"{cost.with_kib / 1024:.0f}", f"{more / 1024:.0f}", str(cost.threads)]
        if any(cell != "–" for cell in cells):
            rows.append([system.title, *cells])
    return table(head, rows)


def targets(results: Results) -> str:
    """Show the targets and the results."""
    rows = [
        [each.what, each.aim, each.found, each.work, "met" if each.met else "**missed**"]
        for each in verdicts(results)
    ]
    return table(["what", "aim", "found", "by processor time", ""], rows)


def _fan_outs(results: Results) -> list[int]:
    return sorted({fan_out for _, fan_out in results.flows})


def _middle(values: Sequence[float], digits: int) -> str:
    return f"{median(values):.{digits}f}" if values else "–"


def _cost(runs: Sequence[Flow]) -> str:
    shares = [
        _middle([getattr(run, name) for run in runs], 1)
        for name in ("publisher_us", "broker_us", "subscriber_us")
    ]
    return " / ".join(shares)


def _losses(runs: Iterable[Sequence[Flow] | None]) -> str:
    """Report the largest share of messages lost, and whether any were out of order."""
    worst = 0.0
    for each in runs:
        for run in each or ():
            share = run.lost / (run.messages * run.fan_out)
            worst = max(worst, share)
    return f"up to {worst:.0%}" if worst >= 0.005 else ("a few" if worst else "0")
