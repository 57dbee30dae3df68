"""Checks 23 and 24: how services start, run and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.doctor.finding import problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.doctor.facts import Facts
    from pyroctl.doctor.finding import Finding

CRASHES = 3
"""Ends of the last runs that make a loop."""
SHORT = 60.0
"""Seconds; a run that lasted longer breaks the loop."""
SLOW = 0.7
"""The part of start_timeout that is too close to it."""
KILLED = 9
REGULARLY = 2


def crashes(facts: Facts) -> Iterator[Finding]:
    """Services that come up and go down again, and what the system has killed."""
    for name, service in facts.services.items():
        history = service.row.get("history") or []
        ends = [
            end for end in history[-CRASHES:] if end["then"] in {"backoff", "starting", "failed"}
        ]
        if len(ends) == CRASHES and all((end["uptime_s"] or 0.0) < SHORT for end in ends):
            text = f"{name} crashes again and again: {ends[-1]['reason']}"
            yield problem(text, name, f"pyroctl logs {name} has its last words", name)
        elif service.row.get("state") == "failed":
            text = f"{name} has failed: {service.row.get('detail')}"
            yield problem(text, name, f"pyroctl logs {name}, then pyroctl start {name}", name)
        if _killed(service.row) and facts.host.oom_kills:
            text = f"{name} was killed by SIGKILL, and the system has run out of memory"
            yield problem(text, name, "give it more memory, or set max_rss below the limit", name)


def starts_and_stops(facts: Facts) -> Iterator[Finding]:
    """Time-outs that are nearly reached."""
    for name, service in facts.services.items():
        took, limit = service.measured.get("ready_seconds"), service.spec.start_timeout
        if took is not None and took > SLOW * limit:
            text = f"{name} took {took:.1f} s to start, and start_timeout is {limit:g}"
            yield warning(text, name, f"services.{name}.start_timeout = {2 * limit:g}", name)
        history = service.row.get("history") or []
        killed = [end for end in history if "requested" in end["reason"] and _by_kill(end)]
        if len(killed) >= REGULARLY:
            text = f"{name} had to be killed at {len(killed)} of its last {len(history)} ends"
            remedy = "make it react to stop_signal, or raise stop_timeout"
            yield warning(text, name, remedy, name)


def _killed(row: object) -> bool:
    end = row.get("exit") if isinstance(row, dict) else None
    return isinstance(end, dict) and (
        end.get("signal") == KILLED or end.get("code") == 128 + KILLED
    )


def _by_kill(end: object) -> bool:
    return isinstance(end, dict) and end["exit"].get("signal") == KILLED
