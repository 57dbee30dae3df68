"""What `pyroctl status` shows, and its exit code.

Kept quick: with a manager it needs neither click nor TOML nor rich nor Pyro5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.cli.output import Output, Result, duration, table
from pyroctl.control.client import goes_on_without_manager
from pyroctl.errors import (
    EXIT_NOT_RUNNING,
    EXIT_OK,
    EXIT_UNKNOWN,
    ManagerNotRunning,
    UnknownService,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyroctl.cli.app import App

    Row = Mapping[str, Any]

ORPHANED = "goes on without a manager; pyroctl start takes it over"
MOST_LOST = 10
"""Lost subscribers that people see; JSON has all."""
HEAD = ("SERVICE", "STATE", "PID", "UPTIME", "RESTARTS", "WHERE / WHY")


def show(app: App, services: Sequence[str], *, tree: bool = False) -> Result:
    """Look once, and print the table; the result has the data and the exit code."""
    result = look(app, services, tree=tree)
    for line in render(result.data, app.output, tree=tree):
        app.output.print(line)
    return result if app.output.json else result._replace(errors=_worth_saying(result.errors))


def look(app: App, services: Sequence[str], *, tree: bool = False) -> Result:
    """Find out how things are; raises NoAnswer, NotPermitted or ConfigError.

    `tree` adds what the services need.
    """
    try:
        reply = app.call("status", services, **({"tree": "yes"} if tree else {}))
    except ManagerNotRunning:
        reply = _without_manager(app, services, tree=tree)
    data, errors = reply["data"], list(reply["errors"])
    counted = [row for row in data["services"] if services or row["name"] in data["enabled"]]
    down = [row for row in counted if row["state"] != "running"]
    code = EXIT_UNKNOWN if errors else EXIT_NOT_RUNNING if down else EXIT_OK
    if data["manager"]["pid"] is None:
        code = max(code, EXIT_NOT_RUNNING)
    del data["enabled"]
    errors += [_not_running(row) for row in down]
    return Result(data, errors, code, partial=len(down) < len(counted))


def _not_running(row: Row) -> dict[str, Any]:
    why = f": {row['detail']}" if row["detail"] else ""
    return {
        "code": "not-running",
        "message": f"{row['name']} is {row['state']}{why}",
        "hint": f"pyroctl start {row['name']}",
        "service": row["name"],
        "file": None,
        "line": None,
    }


def _worth_saying(errors: Sequence[Row]) -> list[Row]:
    """For people the table says already what doesn't run."""
    return [entry for entry in errors if entry["code"] != "not-running"]


def _orphans(app: App) -> dict[str, int]:
    """Give the pids of services that go on without a manager."""
    if not goes_on_without_manager(app.paths):
        return {}
    from pyroctl.manager.cleanup.orphan_scan import services

    return services(app.paths.run)


def _without_manager(app: App, services: Sequence[str], *, tree: bool) -> dict[str, Any]:
    """Say what there would be: everything is stopped, unless it needs no manager to go on."""
    from pyroctl import __version__
    from pyroctl.core import plan
    from pyroctl.core.instances import meant

    specs = app.load().deployment.services
    services = meant(services, specs)
    needs = {spec.name: spec.needs for spec in specs.values()}
    shown = plan.closure(services, needs) if tree else services
    orphans = _orphans(app)
    rows = [
        {
            "name": spec.name,
            "kind": spec.kind,
            "state": "running" if spec.name in orphans else "stopped",
            "pid": orphans.get(spec.name),
            "uptime_s": None,
            "restarts": 0,
            "uri": None,
            "exit": None,
            "needs": list(spec.needs),
            "cpu_percent": None,
            "rss_bytes": None,
            "detail": ORPHANED if spec.name in orphans else "",
        }
        | ({"es": None} if spec.kind == "eventservice" else {})
        | ({"on_needs": spec.on_needs, "history": []} if services or tree else {})
        for spec in specs.values()
        if not services or spec.name in shown
    ]
    manager = {
        "pid": None,
        "state": "stopped",
        "config": app.config,
        "uptime_s": None,
        "version": __version__,
    }
    unknown = [UnknownService(name, specs) for name in services if name not in specs]
    enabled = [name for name, spec in specs.items() if spec.enabled]
    return {
        "data": {"manager": manager, "services": rows, "enabled": enabled},
        "errors": [entry for error in unknown for entry in error.entries()],
    }


def render(data: Mapping[str, Any], output: Output, *, tree: bool = False) -> list[str]:
    """Lay the status out for people."""
    manager = data["manager"]
    config = manager["config"] or "the built-in deployment"
    if manager["pid"] is None:
        first = f"no manager is running ({config})"
    else:
        up = duration(manager["uptime_s"])
        first = f"manager {manager['state']} (pid {manager['pid']}, up {up}, {config})"
    if tree:
        from pyroctl.cli.status.detail import draw_tree

        return [output.style(first, "dim"), *draw_tree(data["services"], output)]
    rows = [_cells(row) for row in data["services"]]
    head, *lines = table(HEAD, rows, lambda cell: output.style(cell, cell))
    lost = [line for row in data["services"] for line in _lost(row)]
    more = [line for row in data["services"] if row.get("history") for line in _history(row)]
    return [output.style(first, "dim"), output.style(head, "head"), *lines, *lost, *more]


def _history(row: Row) -> list[str]:
    from pyroctl.cli.status.detail import history

    return history(row)


def _lost(row: Row) -> list[str]:
    """Name the subscribers that an event service has lost in a crash."""
    lost = (row.get("es") or {}).get("lost") or []
    if not lost:
        return []
    shown = [_subscriptions(entry) for entry in lost[:MOST_LOST]]
    if len(lost) > MOST_LOST:
        shown.append(f"and {len(lost) - MOST_LOST} more: pyroctl status {row['name']} --json")
    head = f"{row['name']}: {len(lost)} plain subscribers were lost in a crash:"
    return [head, *(f"    {line}" for line in shown)]


def _subscriptions(entry: Row) -> str:
    wanted = [*entry["subjects"], *(f"/{pattern}/" for pattern in entry["patterns"])]
    return f"{entry['subscriber']}: {', '.join(wanted)}"


def _cells(row: Row) -> list[str]:
    where = [row["uri"] or row["detail"] or _last_exit(row)]
    if row.get("es"):
        es = row["es"]
        where.append(
            f"{es['subscribers']} subscribers, {es['published']} published,"
            f" {es['delivered']} delivered, {es['dropped']} dropped"
        )
    return [
        row["name"],
        row["state"],
        str(row["pid"] or "-"),
        duration(row["uptime_s"]),
        str(row["restarts"]),
        " · ".join(part for part in where if part),
    ]


def _last_exit(row: Row) -> str:
    return row["exit"]["text"] if row["exit"] else ""
