"""Services drawn as a tree of their needs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Row = Mapping[str, Any]


class Branch(NamedTuple):
    """A place in the tree; `again` if the needs below it were drawn before."""

    lead: str
    row: Row
    again: bool


def tree(rows: Sequence[Row]) -> list[Branch]:
    """Return each service that no other service needs, with its needs below it.

    The needs of a service are drawn once.
    """
    known = {row["name"]: row for row in rows}
    needed = {name for row in rows for name in row["needs"]}
    drawn: set[str] = set()

    def draw(name: str, first: str = "", rest: str = "") -> Iterator[Branch]:
        row = known[name]
        again = name in drawn and bool(row["needs"])
        below = [] if name in drawn else [need for need in row["needs"] if need in known]
        drawn.add(name)
        yield Branch(first, row, again)
        for need in below:
            branch, continued = ("└─ ", "   ") if need == below[-1] else ("├─ ", "│  ")
            yield from draw(need, rest + branch, rest + continued)

    return [branch for name in known if name not in needed for branch in draw(name)]
