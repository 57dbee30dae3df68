"""Words what the checks have found: as text, for Nagios and for Prometheus. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.doctor.finding import Level
from pyroctl.view.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.doctor.checks.all import Check
    from pyroctl.doctor.facts import Facts
    from pyroctl.doctor.finding import Finding

    Found = Sequence[tuple[Check, Sequence[Finding]]]

NAGIOS = {Level.OK: "OK", Level.NOTE: "OK", Level.WARNING: "WARNING", Level.PROBLEM: "CRITICAL"}


def worst(found: Found) -> Level:
    """Return the worst level of all findings."""
    return max((each.level for _, findings in found for each in findings), default=Level.OK)


def plain(found: Found, facts: Facts) -> dict[str, Any]:
    """Return the findings, and what could not be looked at, for JSON."""
    return {
        "level": worst(found).name.lower(),
        "findings": [each.plain(check.number) for check, finds in found for each in finds],
        "checks": [
            {
                "check": check.number,
                "title": check.title,
                "level": max((each.level for each in finds), default=Level.OK).name.lower(),
            }
            for check, finds in found
        ],
        "unknown": list(facts.unknown),
    }


def text(found: Found, facts: Facts) -> list[str]:
    """Return the findings as lines, the worst first, and a summary."""
    everything = [(check, each) for check, findings in found for each in findings]
    lines = []
    for check, each in sorted(everything, key=lambda entry: -entry[1].level):
        lines.append(f"{each.level.name.lower():8} {each.text}")
        lines.append(f"{'':8} at {each.place} (check {check.number})")
        lines.append(f"{'':8} → {each.remedy}")
    lines += [f"{'unknown':8} {what}" for what in facts.unknown]
    return [*lines, summary(found)]


def summary(found: Found) -> str:
    """Return how many findings there are of each level."""
    levels = [each.level for _, findings in found for each in findings]
    parts = [
        counted(levels.count(level), level.name.lower())
        for level in (Level.PROBLEM, Level.WARNING, Level.NOTE)
        if level in levels
    ]
    return f"{len(found)} checks: {', '.join(parts) or 'nothing found'}"


def nagios(found: Found) -> str:
    """Return one line for Nagios and its kin."""
    level = worst(found)
    shown = [each.text for _, findings in found for each in findings if each.level is level]
    first = f": {shown[0]}" if level >= Level.WARNING else ""
    return f"PYROCTL {NAGIOS[level]} - {summary(found)}{first}".replace("|", "/")


def prometheus(found: Found) -> list[str]:
    """Return lines for Prometheus: the level of each check, from 0 (ok) to 3 (problem)."""
    name = "pyroctl_doctor_level"
    lines = [f"# HELP {name} 0 ok, 1 note, 2 warning, 3 problem.", f"# TYPE {name} gauge"]
    for check, findings in found:
        level = max((each.level for each in findings), default=Level.OK)
        lines.append(f'{name}{{check="{check.number}",title="{check.title}"}} {int(level)}')
    return lines
