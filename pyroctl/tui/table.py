"""Rows as aligned lines. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from pyroctl.view.lines import Line, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = tuple[str, Sequence[Part]]

GAP = "  "


def columns(head: Sequence[str], rows: Sequence[Row]) -> tuple[Line, list[Line]]:
    """Return the head and a line for each row of a key and its cells, all aligned."""
    cells = [[Part(title, "head") for title in head], *(row for _, row in rows)]
    widths = [max(cell_len(row[at].text) for row in cells) for at in range(len(head))]
    lines = [_aligned("", cells[0], widths)]
    lines += [_aligned(key, row, widths) for key, row in rows]
    return lines[0], lines[1:]


def _aligned(key: str, cells: Sequence[Part], widths: Sequence[int]) -> Line:
    *first, last = cells
    padded = [
        Part(cell.text + " " * (width - cell_len(cell.text)) + GAP, cell.role)
        for cell, width in zip(first, widths, strict=False)
    ]
    return Line(key, (*padded, last))
