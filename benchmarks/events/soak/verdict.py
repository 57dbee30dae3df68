"""The facts of a run: what must hold, whether it did, and the report. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.events.soak.samples import slope

if TYPE_CHECKING:
    from benchmarks.events.soak.soak import Outcome

JUDGED_FROM = 3000.0
"""A run of fewer seconds says nothing about memory."""
GROWTH_KIB = 4096
"""What memory may vary over a run; what is queued varies."""


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
        _same(outcome, "descriptors"),
        _same(outcome, "threads"),
        _same(outcome, "connections"),
        _memory(outcome),
        _forgotten(outcome),
        Fact("the service ended in order", outcome.exit_code == 0, f"exit {outcome.exit_code}"),
        _none("no fault in its log", outcome.log_faults),
        _none("no trouble with the others", outcome.troubles),
    ]


def memory_slope(outcome: Outcome) -> float:
    """Return the growth of RSS in the second half of the run, in KiB an hour.

    In the first one memory goes up to what the fullest moment takes: many queues full at once.
    """
    return slope([(s.at, s.rss_kib) for s in _second_half(outcome)]) * 3600


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """Return everything, for JSON."""
    return {
        "facts": [asdict(fact) for fact in facts(outcome)],
        "rss_slope_kib_per_hour": round(memory_slope(outcome), 1),
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
    lines += [
        "",
        "| the service | RSS KiB | PSS KiB | descriptors | threads | queued | delivered |",
    ]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for sample in _some(outcome):
        lines.append(
            f"| after {sample.at:.0f} s | {sample.rss_kib} | {sample.pss_kib} | "
            f"{sample.descriptors} | {sample.threads} | {sample.queued} | {sample.delivered} |"
        )
    seconds = max(outcome.seconds, 1.0)
    shares = ", ".join(f"{who} {100 * s / seconds:.1f} %" for who, s in outcome.cpu.items())
    slowest = max((sample.answer for sample in outcome.samples), default=0.0)
    lines += ["", f"Slowest answer to a question: {slowest * 1000:.0f} ms. Of one core: {shares}."]
    if outcome.seconds >= JUDGED_FROM:
        lines.append(f"RSS in the second half: {memory_slope(outcome):+.0f} KiB an hour.")
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
    seen = [getattr(census, what) for census in outcome.censuses]
    ok = len(seen) > 1 and all(number == seen[0] for number in seen)
    return Fact(f"{what} as in the beginning", ok, ", ".join(map(str, seen)))


def _memory(outcome: Outcome) -> Fact:
    late = _second_half(outcome)
    span = late[-1].at - late[0].at if late else 0.0
    growth = memory_slope(outcome) * span / 3600
    ok = growth <= GROWTH_KIB if outcome.seconds >= JUDGED_FROM else None
    return Fact("memory is flat", ok, f"{growth:+.0f} KiB in {span:.0f} s")


def _forgotten(outcome: Outcome) -> Fact:
    name = "who has gone is forgotten"
    if not outcome.plan.settle:
        return Fact(name, None, "too short")
    if outcome.settled is None or not outcome.censuses:
        return Fact(name, False, "it never came to that")
    before, after = outcome.censuses[0].subscribers, outcome.settled.subscribers
    queued = outcome.settled.queued
    seen = f"{before} subscribers, then {after}, {queued} events queued"
    return Fact(name, after == before and not queued, seen)


def _second_half(outcome: Outcome) -> list[Any]:
    begin = outcome.seconds / 2
    return [sample for sample in outcome.samples if sample.at >= begin]


def _some(outcome: Outcome) -> list[Any]:
    """Return about twelve samples of many."""
    step = max(1, len(outcome.samples) // 12)
    return outcome.samples[::step]
