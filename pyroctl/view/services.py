"""A status in words, and whether it is as it should be. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.errors import EXIT_NOT_RUNNING, EXIT_OK, EXIT_UNKNOWN
from pyroctl.printable import printable
from pyroctl.view.subscribers import subscriber_line
from pyroctl.view.text import counted, duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    Row = Mapping[str, Any]

FINE = frozenset({"running", "exited"})
"""A task that ended well is exited."""
IN_HANDOVER = "handing over "
LONG_REASON = 30
"""Characters of a reason that is not repeated in the lines about the runs before."""
MOST_LOST = 10
"""Lost subscribers in the text; JSON has all."""


def judge(
    data: Mapping[str, Any], errors: Sequence[Row], named: Collection[str]
) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code of a status, and an error for each service that should run and doesn't.

    `errors` are those of names that don't exist. Without `named` services those count that are
    enabled.
    """
    down = [row for row in wanted(data, named) if row["state"] not in FINE]
    code = EXIT_UNKNOWN if errors else EXIT_NOT_RUNNING if down else EXIT_OK
    if data["manager"]["pid"] is None:
        code = max(code, EXIT_NOT_RUNNING)
    return code, [_not_running(row) for row in down]


def wanted(data: Mapping[str, Any], named: Collection[str]) -> list[Row]:
    """Return the rows that count: those that were named, or else of what is enabled."""
    return [row for row in data["services"] if named or row["name"] in data["enabled"]]


def why(row: Row) -> str:
    """Return why a service is in its state, or how it last ended if nobody has stopped it."""
    detail: str = row["detail"]
    end = row["exit"]
    expected = row["state"] in {"running", "starting", "stopped"}
    return detail or ("" if end is None or expected else end["text"])


def facts(row: Row, enabled: Collection[str]) -> list[str]:
    """Return lines about where a service is, or why it isn't, and what it has done."""
    reason = why(row)
    words = [row["uri"] or reason, "" if row["name"] in enabled else "disabled"]
    lines = [" · ".join(printable(word) for word in words if word)]
    if row["uri"] and (row.get("fault") or reason.startswith(("(", IN_HANDOVER))):
        lines.append(printable(reason))
    if task := row.get("task"):
        lines += _runs(task, failed=row["state"] == "failed")
    if es := row.get("es"):
        lines.append(
            f"{counted(es['subscribers'], 'subscriber')}, {es['published']} published,"
            f" {es['delivered']} delivered, {es['dropped']} dropped"
        )
    return lines


def due(manager: Row) -> Iterator[str]:
    """Return lines about certificates that end soon, and about a listener that isn't there."""
    for one in manager.get("certificates") or ():
        if one["due"]:
            days, date = one["days"], one["expires"][:10]
            when = f"expires in {counted(days, 'day')}, on {date}"
            when = when if days >= 0 else f"expired on {date}"
            why = f", and can't be renewed: {one['error']}" if one["error"] else ""
            yield f"the certificate {one['name']} {when}{why}"
    remote = manager.get("remote")
    if remote and remote["error"]:
        yield f"no other host can connect: {remote['error']}"


def lost_lines(row: Row) -> list[str]:
    """Return lines about the subscribers that an event service lost in a crash."""
    lost = (row.get("es") or {}).get("lost") or []
    if not lost:
        return []
    shown = [subscriber_line(entry) for entry in lost[:MOST_LOST]]
    if len(lost) > MOST_LOST:
        shown.append(f"    and {len(lost) - MOST_LOST} more: pyroctl status {row['name']} --json")
    what = f"{counted(len(lost), 'plain subscriber')} {'was' if len(lost) == 1 else 'were'}"
    return [f"{row['name']}: {what} lost in a crash:", *shown]


def history(row: Row) -> list[list[str]]:
    """Return how a service's recent runs ended, the newest first.

    Each has the cells when, process, uptime, what followed, and why.
    """
    rows = [_ending(entry) for entry in reversed(row["history"])]
    reasons = [cells[-1] for cells in rows]
    for cells, above in zip(rows[1:], reasons, strict=False):
        if cells[-1] == above and len(above) > LONG_REASON:
            cells[-1] = "(as above)"
    return rows


def _runs(task: Row, *, failed: bool) -> Iterator[str]:
    """Return a line about the runs of a task."""
    known = {"last run": task["last_run"], "next run": task["next_run"]}
    told = [f"{what} {when[:16].replace('T', ' ')}" for what, when in known.items() if when]
    if task["succeeded"] is False and not failed:
        told.insert(0, f"the last run failed: {task['last_result']}")
    if task["refused"]:
        told.append(f"{counted(task['refused'], 'time')} due while it was running")
    if told:
        yield printable(", ".join(told))


def _ending(entry: Row) -> list[str]:
    text, reason = entry["exit"]["text"], entry["reason"]
    return [
        entry["time"][:19].replace("T", " "),
        str(entry["pid"] or "-"),
        duration(entry["uptime_s"]),
        entry["then"] or "",
        printable(reason if text in reason else f"{reason} ({text})"),
    ]


def _not_running(row: Row) -> dict[str, Any]:
    reason = why(row)
    return {
        "code": "not-running",
        "message": f"{row['name']} is {row['state']}{': ' if reason else ''}{reason}",
        "hint": f"pyroctl start {row['name']}",
        "service": row["name"],
        "file": None,
        "line": None,
    }
