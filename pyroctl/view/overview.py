"""All services at a glance: what is wrong, the numbers of the whole, and a row for each. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.printable import log_text
from pyroctl.view.lines import Part
from pyroctl.view.recent import ALL
from pyroctl.view.services import due, judge, lost_lines, why
from pyroctl.view.sparkline import sparkline
from pyroctl.view.text import bytes_text, counted, duration, percent, rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyroctl.view.recent import Recent

    Row = Mapping[str, Any]

HEAD = ("SERVICE", "STATE", "SINCE", "RESTARTS", "CPU", "MEMORY", "TRAFFIC", "LAST LINE")
SHAPES = {
    "running": "●",
    "starting": "◐",
    "stopping": "◑",
    "backoff": "▲",
    "failed": "✖",
    "stopped": "■",
    "exited": "□",
}
"""A shape for each state: colour alone tells some people nothing."""
PLOT = 5
"""Characters of a plot in the table."""
TILE = 12
RECENT = 60.0
"""Seconds for which a service that was restarted after a failure is still trouble."""
WHOLE_CPU = 100.0
"""Percent at which the plot of a load is full, unless it is more."""


class Tile(NamedTuple):
    """A number of the whole deployment, with its plot."""

    title: str
    plot: str
    value: str


def state(row: Row) -> Part:
    """Return the state of a service, as a shape and a word."""
    return Part(f"{SHAPES.get(row['state'], '?')} {row['state']}", row["state"])


def cells(row: Row, recent: Recent, last: str, enabled: Sequence[str]) -> list[Part]:
    """Return the cells of a service's row; `last` is the last line of its output."""
    name = row["name"]

    def plot(key: str, highest: float = 0.0) -> str:
        return sparkline(recent.of(name, key), PLOT, highest=highest)

    cpu, memory = percent(row["cpu_percent"]), bytes_text(row["rss_bytes"])
    ended = row["state"] != "running" and row["exit"] is not None
    reason = why(row) if row["state"] != "running" else row["detail"]
    disabled = "" if name in enabled else "disabled"
    last = "" if last in reason else last
    said = " · ".join(word for word in (disabled, log_text(reason), log_text(last)) if word)
    return [
        Part(name),
        state(row),
        Part(duration(row["uptime_s"])),
        Part(str(row["restarts"]), "backoff" if row["restarts"] else ""),
        Part(f"{plot('cpu_percent', WHOLE_CPU)} {cpu:>7}"),
        Part(f"{plot('rss_bytes')} {memory:>7}"),
        Part(_traffic(row, recent, plot("published"))),
        Part(said, "error" if ended and row["state"] in {"failed", "backoff"} else "dim"),
    ]


def _traffic(row: Row, recent: Recent, plot: str) -> str:
    """Return what flows through an event service, or how many names there are."""
    name = row["name"]
    if row["kind"] == "eventservice":
        queued = recent.last(name, "queued")
        waiting = f", {rate(queued)} queued" if queued else ""
        return f"{plot} {rate(recent.last(name, 'published'))}/s{waiting}"
    names = recent.last(name, "names")
    return "" if names is None else counted(int(names), "name")


def tiles(recent: Recent) -> list[Tile]:
    """Return the four numbers that tell most about the whole."""

    def tile(title: str, key: str, value: str) -> Tile:
        return Tile(title, sparkline(recent.of(ALL, key), TILE), value)

    def last(key: str) -> float | None:
        return recent.last(ALL, key)

    p99 = last("p99")
    return [
        tile("events/s", "published", rate(last("published"))),
        tile("queued", "queued", rate(last("queued"))),
        tile("p99", "p99", "-" if p99 is None else f"{1000 * p99:g} ms"),
        tile("memory", "rss_bytes", bytes_text(last("rss_bytes"))),
    ]


def troubles(data: Mapping[str, Any]) -> Iterator[str]:
    """Return what somebody should look at, a line each."""
    _, down = judge(data, (), ())
    states = {row["name"]: row["state"] for row in data["services"]}
    for entry in down:
        if states[entry["service"]] not in {"starting", "stopping"}:
            yield log_text(entry["message"])
    yield from due(data["manager"])
    for row in data["services"]:
        ended, uptime = row["exit"], row["uptime_s"]
        if row["restarts"] and ended is not None and uptime is not None and uptime < RECENT:
            often = counted(row["restarts"], "time")
            yield f"{row['name']} was restarted {often}: {log_text(ended['text'])}"
        if lost := lost_lines(row):
            yield lost[0].removesuffix(":")


SORTS: tuple[tuple[str, str], ...] = (
    ("configuration", ""),
    ("name", "name"),
    ("state", "state"),
    ("cpu", "cpu_percent"),
    ("memory", "rss_bytes"),
    ("restarts", "restarts"),
    ("since", "uptime_s"),
)
"""By what rows can be sorted, and the field for it; the first is the order of the configuration."""


def ordered(rows: Sequence[Row], by: int, *, backwards: bool) -> list[Row]:
    """Return rows in the order `SORTS[by]`; what has no value comes last."""
    field = SORTS[by][1]
    found = [row for row in rows if not field or row[field] is not None]
    if field:
        found.sort(key=lambda row: row[field])
    rest = [row for row in rows if field and row[field] is None]
    return [*(reversed(found) if backwards else found), *rest]
