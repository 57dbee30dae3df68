"""What `pyroctl status` shows of services that are named, and as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.cli.output import duration, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyroctl.cli.output import Output

    Row = Mapping[str, Any]

HISTORY_HEAD = ("ENDED", "PID", "UPTIME", "THEN", "WHY")


def history(row: Row) -> list[str]:
    """Lay out how a service's last runs ended, the newest first."""
    endings = row["history"]
    if not endings:
        return []
    head = f"{row['name']}: how its last runs ended"
    lines = table(HISTORY_HEAD, [_ending(entry) for entry in reversed(endings)])
    return ["", head, *(f"    {line}" for line in lines)]


def _ending(entry: Row) -> list[str]:
    text, reason = entry["exit"]["text"], entry["reason"]
    return [
        entry["time"][:19].replace("T", " "),
        str(entry["pid"] or "-"),
        duration(entry["uptime_s"]),
        entry["then"] or "",
        reason if text in reason else f"{reason} ({text})",
    ]


def draw_tree(rows: Sequence[Row], output: Output) -> list[str]:
    """Draw each service that nobody needs, with what it needs below it, and so on."""
    known = {row["name"]: row for row in rows}
    needed = {name for row in rows for name in row["needs"]}
    drawing = _Drawing(known, output)
    return [line for name in known if name not in needed for line in drawing.lines(name)]


class _Drawing:
    """Draws what a service needs once, and points to that when it is needed again."""

    def __init__(self, rows: Mapping[str, Row], output: Output) -> None:
        self._rows = rows
        self._output = output
        self._drawn: set[str] = set()

    def lines(self, name: str, first: str = "", rest: str = "") -> Iterator[str]:
        """Give the lines of a service and of what it needs; `first` and `rest` lead them in."""
        row = self._rows[name]
        again = name in self._drawn
        self._drawn.add(name)
        yield first + self._label(row, again=again and bool(row["needs"]))
        below = [] if again else [need for need in row["needs"] if need in self._rows]
        for need in below:
            last = need == below[-1]
            branch, continued = ("└─ ", "   ") if last else ("├─ ", "│  ")
            yield from self.lines(need, rest + branch, rest + continued)

    def _label(self, row: Row, *, again: bool) -> str:
        words = [row["name"], self._output.style(row["state"], row["state"])]
        if row["needs"] and row["on_needs"] != "keep":
            words.append(f"on_needs = {row['on_needs']}")
        if row["detail"] and row["state"] != "running":
            words.append(row["detail"])
        if again:
            words.append("(see above)")
        return "  ".join(words)
