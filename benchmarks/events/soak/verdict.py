"""The facts of a run: what must hold, whether it did, and the report. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.events.soak.samples import slope

if TYPE_CHECKING:
    from benchmarks.events.soak.samples import Sample
    from benchmarks.events.soak.soak import Outcome

JUDGED_FROM = 900.0
"""A run of fewer seconds says nothing about memory."""
GROWTH_KIB = 4096
"""What memory may vary over the last third of a run; what is queued varies."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that must hold; `ok` is None when the run was too short to tell."""

    name: str
    ok: bool | None
    seen: str


def facts(outcome: Outcome) -> list[Fact]:
    """Judge a run."""
    return [
        *_events(outcome),
        *(_same(outcome, what) for what in ("descriptors", "threads", "connections")),
        *(_memory(outcome, name) for name in outcome.samples),
        _forgotten(outcome),
        Fact("the manager ended in order", outcome.exit_code == 0, f"exit {outcome.exit_code}"),
        _none("no fault in the logs", outcome.log_faults),
        _none("no trouble with the others", outcome.troubles),
    ]


def memory_slope(outcome: Outcome, name: str) -> float:
    """Return the growth of a process's RSS in the last third of the run, in KiB an hour.

    Before that, memory goes up to what the fullest moment takes: many queues full at once.
    """
    return slope([(s.at, s.rss_kib) for s in _last_third(outcome, name)]) * 3600


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """Return everything, for JSON."""
    return {
        "facts": [asdict(fact) for fact in facts(outcome)],
        "rss_slopes_kib_per_hour": {n: round(memory_slope(outcome, n), 1) for n in outcome.samples},
        **asdict(outcome),
    }


def markdown(outcome: Outcome) -> str:
    """Return a page for people."""
    lines = [
        f"# {outcome.seconds:.0f} seconds of mixed load", "",
        f"Seed {outcome.plan.seed}, {outcome.plan.rate:g} healthy events a second.", "",
        "| fact | holds | seen |", "| --- | --- | --- |",
        *(f"| {f.name} | {_WORDS[f.ok]} | {f.seen} |" for f in facts(outcome)), "",
        "| healthy subscriber | received | lost | doubled | out of order |",
        "| --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for kind, results in outcome.received.items():
        keys = ("received", "lost", "doubled", "disordered")
        sums = [sum(result[key] for result in results.values()) for key in keys]
        lines.append(f"| {kind} | " + " | ".join(map(str, sums)) + " |")
    lines += ["", "| what happened beside them | times |", "| --- | --- |"]
    lines += [f"| {what} | {number} |" for what, number in outcome.counts.items()]
    columns = ("RSS KiB", "PSS KiB", "descriptors", "threads", "queued", "delivered")
    lines += ["", f"| process | at | {' | '.join(columns)} |", "| --- " * 8 + "|"]
    for name in outcome.samples:
        for sample in _some(outcome.samples[name]):
            lines.append(
                f"| {name} | {sample.at:.0f} s | {sample.rss_kib} | {sample.pss_kib} | "
                f"{sample.descriptors} | {sample.threads} | {sample.queued} | {sample.delivered} |"
            )
    seconds = max(outcome.seconds, 1.0)
    shares = ", ".join(f"{who} {100 * s / seconds:.1f} %" for who, s in outcome.cpu.items())
    answers = [sample.answer for seen in outcome.samples.values() for sample in seen]
    slowest = max(answers, default=0.0)
    lines += ["", f"Slowest answer to a question: {slowest * 1000:.0f} ms. Of one core: {shares}."]
    return "\n".join(lines)


_WORDS = {True: "yes", False: "**NO**", None: "not judged"}


def _events(outcome: Outcome) -> list[Fact]:
    found = []
    results = [each for group in outcome.received.values() for each in group.values()]
    for key, name in (("lost", "lost"), ("doubled", "doubled"), ("disordered", "out of order")):
        number = sum(result[key] for result in results)
        found.append(Fact(f"no event {name}", bool(results) and not number, str(number)))
    sent = sum(outcome.sent.values())
    return [
        Fact("the healthy published", sent > 0, str(sent)),
        *found,
        _none("no healthy one was disturbed", outcome.healthy_troubles),
    ]


def _none(name: str, found: list[str]) -> Fact:
    return Fact(name, not found, "; ".join(found[:5]) or "none")


def _same(outcome: Outcome, what: str) -> Fact:
    """Compare counts at an equal population: the healthy alone."""
    seen = {
        name: [getattr(census, what) for census in censuses]
        for name, censuses in outcome.censuses.items()
    }
    ok = bool(seen) and all(len(each) > 1 and len(set(each)) == 1 for each in seen.values())
    texts = [
        f"{name} {each[0]}" if len(set(each)) == 1 else f"{name} {', '.join(map(str, each))}"
        for name, each in seen.items()
        if any(each)
    ]
    return Fact(f"{what} as in the beginning", ok, "; ".join(texts))


def _memory(outcome: Outcome, name: str) -> Fact:
    late = _last_third(outcome, name)
    span = late[-1].at - late[0].at if late else 0.0
    growth = memory_slope(outcome, name) * span / 3600
    ok = growth <= GROWTH_KIB if outcome.seconds >= JUDGED_FROM else None
    seen = f"{growth:+.0f} KiB in the last {span:.0f} s"
    if late:
        seen += f", {late[-1].rss_kib} KiB in the end"
    return Fact(f"memory of {name} is flat", ok, seen)


def _forgotten(outcome: Outcome) -> Fact:
    name = "who has gone is forgotten"
    if not outcome.plan.settle:
        return Fact(name, None, "too short")
    if outcome.settled is None or not outcome.censuses:
        return Fact(name, False, "it never came to that")
    ok, texts = True, []
    for service, settled in outcome.settled.items():
        before = outcome.censuses[service][0].subscribers
        ok &= settled.subscribers == before and not settled.queued
        texts.append(f"{service} {before}, then {settled.subscribers}, {settled.queued} queued")
    return Fact(name, ok, "; ".join(texts))


def _last_third(outcome: Outcome, name: str) -> list[Sample]:
    samples = outcome.samples[name]
    begin = samples[0].at + (samples[-1].at - samples[0].at) * 2 / 3
    return [sample for sample in samples if sample.at >= begin]


def _some(samples: list[Sample]) -> list[Sample]:
    """Return a few samples of many."""
    return samples[:: max(1, len(samples) // 4)]
