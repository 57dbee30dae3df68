"""The output of `pyroctl status`, and its exit code.

With a manager it imports neither click nor a TOML parser, rich or Pyro5, to be fast.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from pyroctl import __version__
from pyroctl.cli.output import Output, Result, table, terminal_width
from pyroctl.control.client import crashed_manager, services_await_manager
from pyroctl.errors import ManagerNotRunning, PyroctlError, UnknownService
from pyroctl.paths import certs_directory
from pyroctl.view.services import due, facts, history, judge, lost_lines, wanted, why
from pyroctl.view.text import bytes_text, duration, percent
from pyroctl.view.tree import tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyroctl.cli.app import App
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.paths import Paths

    Row = Mapping[str, Any]

ORPHANED = "running without a manager; pyroctl start reattaches it"
SETTLED_NOTES = tuple(f"[pyroctl] {state}" for state in ("stopped", "exited", "failed"))
"""How the log of a service that is down for good ends."""
HISTORY_HEAD = ("ENDED", "PID", "UPTIME", "THEN", "WHY")
HEAD = ("SERVICE", "STATE", "PID", "UPTIME", "RESTARTS")
USAGE_HEAD = ("CPU", "MEMORY")
"""Shown with -v."""
LAST_HEAD = "WHERE / WHY"
STATE = HEAD.index("STATE")


def show(app: App, services: Sequence[str], *, tree: bool = False) -> Result:
    """Print the status once, and return its data and exit code."""
    result = query(app, services, tree=tree)
    if result.data["services"] or not result.errors:
        for line in render(result.data, app.output, app.paths, tree=tree):
            app.output.print(line)
    for line in due(result.data["manager"]):
        app.output.progress(app.output.suggest(line))
    result = result._replace(data=public(result.data))
    return result if app.output.json else result._replace(errors=_not_in_table(result.errors))


def public(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a status as documented, without what only the table needs."""
    return {key: data[key] for key in ("manager", "services")}


def query(app: App, services: Sequence[str], *, tree: bool = False) -> Result:
    """Return the status and the exit code; raises NoAnswer, NotPermitted or ConfigError.

    `tree` adds the services' needs. The data also have the names of the `enabled` services.
    """
    try:
        reply = app.call("status", services, **({"tree": "yes"} if tree else {}))
    except ManagerNotRunning:
        reply = _without_manager(app, services, tree=tree)
    data, errors = reply["data"], reply["errors"]
    return judged(data, errors, services)


def judged(data: Mapping[str, Any], errors: Sequence[Row], services: Sequence[str]) -> Result:
    """Return a status as a result; `errors` are about names of services that don't exist."""
    code, down = judge(data, errors, services)
    partial = len(down) < len(wanted(data, services))
    return Result(data, [*map(dict, errors), *down], code, partial=partial)


def _not_in_table(errors: Sequence[Row]) -> list[Row]:
    """Return the errors except services that are not running, which the table shows."""
    return [entry for entry in errors if entry["code"] != "not-running"]


def _orphans(app: App) -> dict[str, int]:
    """Return the pids of services that are running without a manager."""
    if not services_await_manager(app.paths):
        return {}
    from pyroctl.manager.cleanup.orphan_scan import services

    return services(app.paths.run)


def _without_manager(app: App, services: Sequence[str], *, tree: bool) -> dict[str, Any]:
    """Return what a manager would, without one: all services are stopped or orphans."""
    from pyroctl.core import plan
    from pyroctl.core.instances import meant

    specs = app.load().deployment.services
    services = meant(services, specs)
    needs = {spec.name: spec.needs for spec in specs.values()}
    shown = plan.closure(services, needs) if tree else services
    orphans = _orphans(app)
    crashed = crashed_manager(app.paths)
    down = "" if crashed is None else f"down: the manager (pid {crashed}) did not shut down"
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
            "cpu_seconds": None,
            "rss_bytes": None,
            "fault": None,
            "detail": ORPHANED
            if spec.name in orphans
            else down
            if down and _was_up(app.paths, spec.name)
            else "",
        }
        | ({"es": None} if spec.kind == "eventservice" else {})
        | ({"task": None} if spec.kind == "task" else {})
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
        "remote": None,
        "certificates": _certificates(app, specs.values()),
    }
    unknown = [UnknownService(name, specs) for name in services if name not in specs]
    enabled = [name for name, spec in specs.items() if spec.enabled]
    return {
        "data": {"manager": manager, "services": rows, "enabled": enabled},
        "errors": [entry for error in unknown for entry in error.entries()],
    }


def _certificates(app: App, services: Iterable[ServiceSpec]) -> list[dict[str, Any]]:
    """Return the certificates of this host, for which no manager cares."""
    from datetime import UTC, datetime

    from pyroctl.certs.held import files_of, held, used

    directory = certs_directory(app.root, os.environ)
    try:
        found = held(directory)
    except (OSError, PyroctlError):
        found = []
    found += used(directory, files_of(services))[0]
    return [{**one.entry(datetime.now(UTC)), "error": None} for one in found]


def _was_up(paths: Paths, name: str) -> bool:
    """Return whether a service was still wanted when its log ended, as far as that is known.

    The last line about one that has settled is that it has.
    """
    from pyroctl.log_reader.files import Source, last_lines

    with contextlib.suppress(OSError):
        lines = last_lines([Source(name, "output", paths.service_log(name))], 1)
        return any(not line.text.startswith(SETTLED_NOTES) for line in lines)
    return False


def render(
    data: Mapping[str, Any], output: Output, paths: Paths, *, tree: bool = False
) -> list[str]:
    """Return the status as text."""
    first = [output.style(line, "dim") for line in _head(data["manager"], output, paths)]
    if tree:
        return [*first, *_draw_tree(data["services"], output)]
    usage = bool(output.verbose)
    titles = [*HEAD, *(USAGE_HEAD if usage else ()), LAST_HEAD]
    rows = [_cells(row, data["enabled"], usage=usage) for row in data["services"]]

    def paint(column: int, cell: str) -> str:
        return output.style(cell, cell) if column == STATE else cell

    head, *lines = table(titles, rows, paint, terminal_width())
    lost = [line for row in data["services"] for line in lost_lines(row)]
    more = [line for row in data["services"] if row.get("history") for line in _history(row)]
    return [*first, output.style(head, "head"), *lines, *lost, *more]


def _head(manager: Row, output: Output, paths: Paths) -> Iterator[str]:
    """Return lines about the manager, and about what a user might not expect of it."""
    config = manager["config"] or "the built-in deployment"
    if manager["pid"] is None:
        yield f"no manager is running ({config})"
    else:
        up = duration(manager["uptime_s"])
        yield f"manager {manager['state']} (pid {manager['pid']}, up {up}, {config})"
        if manager["version"] != __version__:
            text = f"manager {manager['version']}, installed {__version__}: pyroctl reexec"
            yield output.suggest(text)
    if paths.run_is_elsewhere:
        yield f"sockets are in {paths.run}: the path of --root is too long"


def _cells(row: Row, enabled: Sequence[str], *, usage: bool) -> list[str]:
    used = [percent(row["cpu_percent"]), bytes_text(row["rss_bytes"])]
    return [
        row["name"],
        row["state"],
        str(row["pid"] or "-"),
        duration(row["uptime_s"]),
        str(row["restarts"]),
        *(used if usage else ()),
        "\n".join(facts(row, enabled)),
    ]


def _history(row: Row) -> list[str]:
    """Return lines about how a service's recent runs ended, the newest first."""
    lines = table(HISTORY_HEAD, history(row))
    return ["", f"{row['name']}: recent runs", *(f"    {line}" for line in lines)]


def _draw_tree(rows: Sequence[Row], output: Output) -> list[str]:
    """Draw each service that no other service needs, with its needs below it."""
    return [
        lead + _label(row, output) + ("  (see above)" if again else "")
        for lead, row, again in tree(rows)
    ]


def _label(row: Row, output: Output) -> str:
    words = [row["name"], output.style(row["state"], row["state"])]
    if row["needs"] and row["on_needs"] != "keep":
        words.append(f"on_needs = {row['on_needs']}")
    if row["state"] != "running" and (reason := why(row)):
        words.append(reason)
    return "  ".join(words)
