"""What was to be reached, as ratios of interleaved runs, and whether it was."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.events import systems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.events.measure import Flow, Latency
    from benchmarks.events.runs import Results
    from benchmarks.events.system import System


class Verdict(NamedTuple):
    """One aim."""

    what: str
    aim: str
    found: str
    met: bool
    work: str = "–"
    """The same ratio by processor time, which other programs disturb less."""


def verdicts(results: Results) -> Iterator[Verdict]:
    """Judge everything that was measured."""
    yield from _flows(results)
    yield from _acked(results)
    yield from _latencies(results)
    yield from _patterns(results)
    yield from _memory(results)


def _flows(results: Results) -> Iterator[Verdict]:
    stream, nats, zeromq = systems.STREAM, systems.NATS, systems.ZEROMQ
    aims: list[tuple[System, System, int, float]] = [(stream, nats, 1, 1.2)]
    for fan_out in (10, 50):
        aims += [(stream, nats, fan_out, 2.0), (stream, zeromq, fan_out, 1.5)]
        aims += [(stream, systems.BOUNDED, fan_out, 1.5)]
    aims += [(systems.STOCK, systems.THREADS, 10, 35.0)]
    for ours, theirs, fan_out, aim in aims:
        a = results.flows.get((ours.name, fan_out))
        b = results.flows.get((theirs.name, fan_out))
        if a and b:
            what = f"{_short(ours)} 1→{fan_out} against {theirs.title}"
            verdict = _at_least(what, aim, _ratios(a, b, lambda run: run.delivered))
            work = median(_ratios(b, a, lambda run: run.work))
            yield verdict._replace(work=f"{work:.2f} ×")
    for fan_out, aim in ((1, 0.9), (10, 0.75)):
        a = results.flows.get((systems.STREAM_TLS.name, fan_out))
        b = results.flows.get((stream.name, fan_out))
        if a and b:
            verdict = _at_least(
                f"TLS 1→{fan_out} against plain", aim, _ratios(a, b, lambda run: run.delivered)
            )
            work = median(_ratios(b, a, lambda run: run.work))
            yield verdict._replace(work=f"{work:.2f} ×")
    own = [runs for (name, _), runs in results.flows.items() if name.startswith("es-")]
    if own:
        lost = sum(abs(run.lost) + run.jumps for runs in own for run in runs)
        what = "lost, duplicated or reordered, all event service runs"
        yield Verdict(what, "0", f"{lost}", lost == 0)


def _acked(results: Results) -> Iterator[Verdict]:
    ours = results.flows.get((systems.STREAM_ACKED.name, 1))
    theirs = results.flows.get((systems.REDIS_ACKED.name, 1))
    if ours and theirs:
        ratios = _ratios(ours, theirs, lambda run: run.published)
        yield _at_least("acknowledged `publish` against Redis", 1.0, ratios)


def _latencies(results: Results) -> Iterator[Verdict]:
    theirs = results.latencies.get(systems.REDIS.name)
    for system, how in ((systems.STREAM_ACKED, "publish"), (systems.STREAM, "post")):
        ours = results.latencies.get(system.name)
        if ours and theirs:
            p50 = _latency_ratios(ours, theirs, lambda run: run.p50)
            p99 = _latency_ratios(ours, theirs, lambda run: run.p99)
            yield _at_most(f"latency p50 against Redis, `{how}`", 1.2, p50)
            yield _at_most(f"latency p99 against Redis, `{how}`", 1.5, p99)


def _patterns(results: Results) -> Iterator[Verdict]:
    name = systems.STREAM.name
    without, with_them = results.patterns.get((name, False)), results.patterns.get((name, True))
    if without and with_them:
        kept = median(_ratios(with_them, without, lambda run: run.delivered))
        work = median(_ratios(with_them, without, lambda run: run.work)) - 1
        what = "throughput that 1,000 other patterns cost"
        found = f"{max(0.0, 1 - kept):.1%}"
        yield Verdict(what, "≤ 5 %", found, kept >= 0.95, f"{max(0.0, work):.1%}")


def _memory(results: Results) -> Iterator[Verdict]:
    for (name, number), cost in results.idle.items():
        if name == systems.STREAM.name and number == 5000:
            mib = cost.with_kib / 1024
            yield Verdict("5,000 idle subscribers", "≤ 80 MB", f"{mib:.0f} MiB", mib <= 76.3)
            # The command's main thread only waits for signals.
            found = f"{cost.threads}, including the one that waits for signals"
            yield Verdict("threads for them", "1", found, cost.threads <= 2)
    if results.stalled is not None:
        more = (results.stalled.with_kib - results.stalled.before_kib) / 1024
        what = "memory for a subscriber that never reads"
        yield Verdict(what, "≤ 16 MiB, its queue", f"{more:.1f} MiB", more <= 16)


def _short(system: System) -> str:
    return system.title.removeprefix("event service, ")


def _ratios(
    ours: Sequence[Flow], theirs: Sequence[Flow], value: Callable[[Flow], float]
) -> list[float]:
    """Compare round by round, so that what disturbed the machine disturbed both."""
    return [value(a) / value(b) for a, b in zip(ours, theirs, strict=True)]


def _latency_ratios(
    ours: Sequence[Latency], theirs: Sequence[Latency], value: Callable[[Latency], float]
) -> list[float]:
    return [value(a) / value(b) for a, b in zip(ours, theirs, strict=True)]


def _at_least(what: str, aim: float, ratios: Sequence[float]) -> Verdict:
    return Verdict(what, f"≥ {aim:g} ×", _span(ratios), median(ratios) >= aim)


def _at_most(what: str, aim: float, ratios: Sequence[float]) -> Verdict:
    return Verdict(what, f"≤ {aim:g} ×", _span(ratios), median(ratios) <= aim)


def _span(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} × ({min(ratios):.2f}–{max(ratios):.2f})"
