"""The tree of needs, and what flows through event services. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.core.plan import closure, reverse
from pyroctl.printable import printable
from pyroctl.view.lines import Line, Part, plain
from pyroctl.view.overview import state
from pyroctl.view.services import why
from pyroctl.view.subscribers import subscriptions_of
from pyroctl.view.text import rate
from pyroctl.view.tree import tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Row = Mapping[str, Any]

DOWN = frozenset({"backoff", "failed", "stopped"})


def affected(rows: Sequence[Row]) -> dict[str, str]:
    """Return the services above one that is down, each with the name of that one."""
    needs = {row["name"]: row["needs"] for row in rows}
    found: dict[str, str] = {}
    for row in rows:
        if row["state"] in DOWN:
            for name in closure([row["name"]], reverse(needs)):
                if name != row["name"]:
                    found.setdefault(name, row["name"])
    return found


def topology(rows: Sequence[Row]) -> list[Line]:
    """Return the tree of needs; what needs a service that is down is marked."""
    hurt = affected(rows)
    lines = [plain("who needs whom", "head", "-needs")]
    for lead, row, again in tree(rows):
        name = row["name"]
        parts = [Part(lead, "dim"), Part(f"{name}  "), state(row)]
        if row["needs"] and row.get("on_needs", "keep") != "keep":
            parts.append(Part(f"  on_needs = {row['on_needs']}", "dim"))
        if name in hurt and row["state"] not in DOWN:
            parts.append(Part(f"  affected: {hurt[name]} is down", "backoff"))
        if row["state"] != "running" and (reason := why(row)):
            parts.append(Part(f"  {printable(reason)}", "dim"))
        if again:
            parts.append(Part("  (see above)", "dim"))
        lines.append(Line(name, tuple(parts)))
    return lines


def flow(service: str, found: Mapping[str, Any], subscribers: Sequence[Row]) -> Iterator[Line]:
    """Return who publishes what to an event service, and who hears it.

    `found` is its inventory; subjects are named by their first two words.
    """
    yield plain("")
    yield plain(f"what flows through {service}", "head", f"-{service}")
    seconds = found["seconds"] or 1.0
    for row in found["edges"]:
        text = f"{_publisher(row)} → {printable(row['subjects'])}"
        yield Line(
            f"{service}/{text}",
            (Part(f"  {text}"), Part(f"  {rate(row['count'] / seconds)}/s", "dim")),
        )
    for row in subscribers:
        heard = printable(", ".join(subscriptions_of(row)))
        text = f"{heard} → {printable(row['subscriber'])}"
        full = f", {row['queued']} queued" if row["queued"] else ""
        lost = f", {row['dropped']} dropped" if row["dropped"] else ""
        kind = "" if row["aware"] else ", plain"
        yield Line(
            f"{service}/{text}",
            (Part(f"  {text}"), Part(f"  {row['state']}{kind}{full}{lost}", "dim")),
        )
    if not found["edges"] and not subscribers:
        yield plain("  nobody publishes or listens at the moment", "dim")


def _publisher(row: Row) -> str:
    name = printable(str(row["publisher"] or "a client"))
    return f"{name} ({printable(str(row['origin']))})"
