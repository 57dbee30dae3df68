"""What a fault is, and the table of what came of it. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from random import Random

Where = Literal["adopt", "stop", "alone"]
"""The deployment that a fault is for, by what becomes of its orphans; or none at all."""


class Skip(Exception):
    """The fault can't be made here; the text says what it lacks."""


class NotSurvived(Exception):
    """Something does not hold after a fault."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault may have changed, for the check after it.

    The processes of `touched` may be others than before, all others may not. `restarts` are the
    automatic restarts that have to be counted; `note` goes into the table, and so do the bytes that
    were `fuzzed`. With `forgets` the event service has lost its records, so that events which were
    not confirmed may come twice, as where it has none (docs/explanation/delivery.md).
    """

    touched: frozenset[str] = frozenset()
    restarts: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    fuzzed: int = 0
    forgets: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong; `inject` makes it, and repairs what has to be repaired.

    It gets the deployment under load (None for a fault that is `alone`) and where chance comes
    from. It may raise Skip, NotSurvived and AssertionError. `quick` ones are in the normal suite.
    """

    name: str
    inject: Callable[[Any, Random], Effect]
    where: Where = "adopt"
    quick: bool = False
    most: int = 1_000_000
    """How often it is injected at most; what involves no chance need not be repeated."""


@dataclass(slots=True)
class Row:
    """What came of one fault."""

    fault: str
    times: int = 0
    survived: int = 0
    lost: int = 0
    """Events that subscribers missed, and were told of."""
    worst: float = 0.0
    """The longest time until all was well again, in seconds."""
    fuzzed: int = 0
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text and text not in self.notes:
            self.notes.append(text)


def summary(rows: Iterable[Row]) -> str:
    """Return the sums of a table in a sentence."""
    rows = list(rows)
    times, survived = sum(row.times for row in rows), sum(row.survived for row in rows)
    worst = max((row.worst for row in rows), default=0.0)
    fuzzed = sum(row.fuzzed for row in rows)
    return (
        f"{times} faults of {sum(1 for row in rows if row.times)} kinds injected, "
        f"{survived} survived; worst recovery {worst:.1f} s; {fuzzed:,} bytes fuzzed."
    )


def markdown(rows: Iterable[Row]) -> str:
    """Return the table for people."""
    head = ["| fault | times | survived | lost, told | worst recovery | |", "| --- " * 6 + "|"]
    return "\n".join([*head, *map(_line, rows)])


def _line(row: Row) -> str:
    fuzzed = [f"{row.fuzzed:,} bytes"] if row.fuzzed else []
    notes = "; ".join([*fuzzed, *row.notes]).replace("|", "\\|").replace("\n", " ")
    if not row.times:
        return f"| {row.fault} | – | – | – | – | {notes} |"
    good = str(row.survived) if row.survived == row.times else f"**{row.survived}**"
    return f"| {row.fault} | {row.times} | {good} | {row.lost} | {row.worst:.1f} s | {notes} |"


def as_json(seed: int, rows: Iterable[Row]) -> str:
    """Return everything, to be compared with other runs."""
    return json.dumps({"seed": seed, "rows": [asdict(row) for row in rows]}, indent=1)
