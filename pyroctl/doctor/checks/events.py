"""Checks 32 to 34: subscribers that lose events, subjects that nobody hears, costs of a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.core.spec import EventServiceOptions
from pyroctl.doctor.finding import note, warning
from pyroctl.suggestions import nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.doctor.facts import Facts
    from pyroctl.doctor.finding import Finding

FULL = 0.8
MOST = 5
"""Subjects or subscribers that are listed, of one event service."""


def subscribers(facts: Facts) -> Iterator[Finding]:
    """Find subscribers that have lost events, or are about to."""
    for name, service in facts.services.items():
        for row in service.subscribers[:1000]:
            who = row["subscriber"]
            if row["dropped"]:
                text = f"{who} has lost {row['dropped']} events of {name}"
                remedy = "make it faster, raise its queue_size, or give publishers patience"
                yield warning(text, who, remedy, name)
            elif row["queued"] > FULL * row["queue_size"]:
                text = f"the queue of {who} has {row['queued']} of {row['queue_size']} events"
                yield warning(text, who, "make it faster, or raise its queue_size", name)
            if row["suspended"]:
                text = f"patterns of {who} took too long and are suspended: {row['suspended'][0]}"
                yield warning(text, who, "use a simpler pattern, such as a prefix", name)
            if row["kind"] == "callback" and row["state"] == "retrying":
                text = f"{name} can't reach {who}"
                remedy = (
                    "does it run, and is its address reachable from there? streams need no port"
                )
                yield warning(text, who, remedy, name)


def unheard(facts: Facts) -> Iterator[Finding]:
    """Subjects without a listener, with the nearest one that has any; subscriptions likewise."""
    for name, service in facts.services.items():
        published = [row["subject"] for row in service.subjects]
        wanted = {s.lower(): row for row in service.subscribers for s in row["subjects"]}
        silent = [row["subject"] for row in service.subjects if not row["listeners"]]
        for subject in silent[:MOST]:
            near = nearest_name(subject, list(wanted))
            remedy = f"did you mean {near}, which has a listener?" if near else "subscribe to it"
            yield note(f"nobody hears {subject} of {name}", subject, remedy, name)
        if not published:
            continue
        for subject, row in list(wanted.items())[:1000]:
            if subject in published or row["delivered"]:
                continue
            near = nearest_name(subject, published)
            if near:
                text = f"{row['subscriber']} waits for {subject}, which nobody publishes"
                yield note(text, row["subscriber"], f"did it mean {near}?", name)


def costs(facts: Facts) -> Iterator[Finding]:
    """List what a restart would cost now."""
    for name, service in facts.services.items():
        lost = [each for loss in service.losses for each in _lost(loss)]
        if not lost:
            continue
        remedy = "pyroctl restart --handover loses nothing"
        if isinstance(service.spec.options, EventServiceOptions):
            if service.spec.options.on_restart == "notify":
                remedy = f'services.{name}.on_restart = "handover" loses nothing'
        else:
            remedy = f'services.{name}.storage = "sql:names.sqlite" keeps them'
        shown = ", ".join(map(str, lost[:3]))
        text = f"a restart of {name} would lose {len(lost)} of its clients' entries: {shown}"
        yield note(text, name, remedy, name)


def _lost(loss: object) -> list[object]:
    if not isinstance(loss, dict):
        return []
    plain = [row["subscriber"] for row in loss.get("lost") or ()]
    return [*plain, *(loss.get("names") or ()), *(loss.get("disconnected") or ())]
