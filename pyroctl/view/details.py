"""Everything about one service that fits a screen. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.printable import log_text, printable
from pyroctl.view.lines import Line, Part, plain
from pyroctl.view.overview import WHOLE_CPU, state
from pyroctl.view.services import facts, history, lost_lines
from pyroctl.view.sparkline import sparkline
from pyroctl.view.text import bytes_text, duration, percent, rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyroctl.view.recent import Recent

    Row = Mapping[str, Any]

TITLE = 14
"""Columns for what a line is about."""
TEXTS = {
    "cpu_percent": ("cpu", percent),
    "rss_bytes": ("memory", bytes_text),
    "published": ("published/s", rate),
    "delivered": ("delivered/s", rate),
    "dropped": ("dropped/s", rate),
    "queued": ("queued", rate),
    "names": ("names", rate),
}


def details(row: Row, rows: Sequence[Row], enabled: Sequence[str]) -> Iterator[Line]:
    """Return the facts about a service, and who is connected with it by needs."""
    pid = f", pid {row['pid']}" if row["pid"] else ""
    up = f", for {duration(row['uptime_s'])}" if row["uptime_s"] is not None else ""
    parts = (
        Part(f"{row['name']:<{TITLE}}", "head"),
        state(row),
        Part(f"  {row['kind']}{pid}{up}, {row['restarts']} restarts"),
    )
    yield Line("-state", parts)
    for line in facts(row, enabled):
        if line:
            yield plain(f"{'':<{TITLE}}{line}")
    needed = [other["name"] for other in rows if row["name"] in other["needs"]]
    yield _about("needs", ", ".join(row["needs"]) or "nothing")
    yield _about("needed by", ", ".join(needed) or "nothing")
    yield from (plain(line, "backoff") for line in lost_lines(row))


def plots(name: str, recent: Recent, width: int) -> Iterator[Line]:
    """Return a line for each series of a service."""
    for key in recent.keys(name):
        if key not in TEXTS:
            continue
        title, worded = TEXTS[key]
        full = WHOLE_CPU if key == "cpu_percent" else 0.0
        plot = sparkline(recent.of(name, key), width, highest=full)
        value = worded(recent.last(name, key))
        yield Line(
            f"-{key}", (Part(f"{title:<{TITLE}}", "dim"), Part(plot, "running"), Part(f" {value}"))
        )


def endings(row: Row) -> Iterator[Line]:
    """Return how the recent runs of a service ended, the newest first."""
    found = history(row) if row.get("history") else []
    yield plain("how runs ended", "head", "-history")
    for when, pid, uptime, following, reason in found:
        what = Part(f"  {when}  pid {pid}, after {uptime}, {following or 'the end'}: ", "dim")
        yield Line(f"-{when}", (what, Part(reason)))
    if not found:
        yield plain("  none has ended", "dim")


def last_words(lines: Sequence[str]) -> Iterator[Line]:
    """Return the last lines of a service's output."""
    yield plain("last lines of its log", "head", "-log")
    for number, line in enumerate(lines):
        yield plain(f"  {log_text(line)}", "", f"-log{number}")
    if not lines:
        yield plain("  no output yet", "dim")


def _about(title: str, text: str) -> Line:
    return Line(f"-{title}", (Part(f"{title:<{TITLE}}", "dim"), Part(text)))


def settings(name: str, shown: Sequence[str]) -> Iterator[Line]:
    """Return what is configured for a service, from the lines of `config show --origin`.

    Of defaults only the number.
    """
    yield plain("configuration", "head", "-settings")
    prefix = f"services.{name.partition('@')[0]}."
    own = [line.removeprefix(prefix) for line in shown if line.startswith(prefix)]
    for line in own:
        value, _, origin = line.rpartition("    # ")
        if origin != "default":
            yield Line(
                f"-{value}",
                (Part(f"  {printable(value)}"), Part(f"    # {printable(origin)}", "dim")),
            )
    defaults = sum(line.endswith("    # default") for line in own)
    yield plain(
        f"  and {defaults} defaults: pyroctl config show --origin" if own else "  not known", "dim"
    )
