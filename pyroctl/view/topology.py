"""What is connected with what: services in layers, and who publishes and hears. Pure.

Nodes are `{"id", "label", "kind", "layer", "state"?}`, edges `{"from", "to", "kind", "label",
"rate"}`. Kinds of edges: `needs` is declared, `observed` is a connection of a service to another
that it doesn't need, `publishes` and `subscribes` go to and from an event service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.core.plan import closure, start_waves
from pyroctl.view.subscribers import subscriptions_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Row = Mapping[str, Any]

MOST_CLIENTS = 50
"""Subscribers, and publishers, of one event service."""
LONGEST_LABEL = 80


def topology(
    rows: Sequence[Row],
    observed: Sequence[Sequence[str]],
    inventories: Mapping[str, Mapping[str, Any]],
) -> dict[str, list[dict[str, Any]]]:
    """Return nodes and edges.

    `observed` are pairs of services, the first of which is connected with the second; `inventories`
    has `subscriptions` and `subjects` of each event service.
    """
    needs = {row["name"]: list(row["needs"]) for row in rows}
    waves = start_waves(needs, needs)
    layer = {name: number for number, wave in enumerate(waves) for name in wave}
    nodes = [
        {
            "id": row["name"],
            "label": row["name"],
            "kind": "service",
            "state": row["state"],
            "layer": layer[row["name"]],
        }
        for row in rows
    ]
    edges = [_edge(name, need, "needs") for name, found in needs.items() for need in found]
    edges += [
        _edge(one, other, "observed")
        for one, other in observed
        if other not in closure([one], needs)
    ]
    for service, found in inventories.items():
        _add_clients(nodes, edges, service, found, len(waves))
    return {"nodes": nodes, "edges": edges}


def _add_clients(
    nodes: list[dict[str, Any]],
    edges: list[dict[str, Any]],
    service: str,
    found: Mapping[str, Any],
    layer: int,
) -> None:
    for number, row in enumerate(found["subscriptions"][:MOST_CLIENTS]):
        name = f"{service}/subscriber/{number}"
        nodes.append(_client(name, row["subscriber"], "subscriber", layer + 1))
        edges.append(_edge(service, name, "subscribes", ", ".join(subscriptions_of(row))))
    seconds = found["subjects"]["seconds"]
    known: set[str] = set()
    for row in found["subjects"]["edges"]:
        name = f"{service}/publisher/{row['origin']}/{row['publisher']}"
        if name not in known and len(known) < MOST_CLIENTS:
            known.add(name)
            label = row["publisher"] or row["origin"]
            nodes.append(_client(name, label, "publisher", layer))
        if name in known:
            rate = round(row["count"] / seconds, 3) if seconds else None
            edges.append(_edge(name, service, "publishes", row["subjects"], rate))


def _client(name: str, label: str, kind: str, layer: int) -> dict[str, Any]:
    return {"id": name, "label": label[:LONGEST_LABEL], "kind": kind, "layer": layer}


def _edge(
    one: str, other: str, kind: str, label: str = "", rate: float | None = None
) -> dict[str, Any]:
    shown = label[:LONGEST_LABEL]
    return {"from": one, "to": other, "kind": kind, "label": shown, "rate": rate}
