"""Generate the lifecycle table of docs/design.md from `pyroctl.core.lifecycle.TABLE`.

    python tools/lifecycle_table.py

replaces what is between the markers; tests/docs/test_design.py checks that it is up to date.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pyroctl.core import lifecycle
from pyroctl.core.state import Event, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DESIGN = Path(__file__).parent.parent / "docs" / "design.md"
BEGIN, END = "<!-- lifecycle table: tools/lifecycle_table.py -->\n", "<!-- end -->\n"


def generate() -> str:
    """Return the states, the table and the handlers as Markdown."""
    return "\n".join([*_states(), "", *_table(), "", *_handlers()]) + "\n"


def update(text: str) -> str:
    """Return the document with a new table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{generate()}\n{END}{after}"


def _states() -> Iterator[str]:
    """Return the list of states in the module's docstring."""
    yield from ("| state | meaning |", "| --- | --- |")
    for state in State:
        found = re.search(rf"^    {state} +(.+)$", lifecycle.__doc__ or "", re.MULTILINE)
        assert found is not None
        yield f"| `{state}` | {found[1]} |"


def _table() -> Iterator[str]:
    yield "| event | " + " | ".join(f"`{state}`" for state in State) + " |"
    yield "| --- |" + " --- |" * len(State)
    for event in get_args(Event):
        cells = (_name(lifecycle.TABLE[state][event]) for state in State)
        yield f"| `{event.__name__}` | " + " | ".join(cells) + " |"


def _handlers() -> Iterator[str]:
    """Return the first lines of the docstrings, in the order of the table."""
    rows = lifecycle.TABLE.values()
    handlers = dict.fromkeys(row[event] for row in rows for event in get_args(Event))
    for handler in filter(_name, handlers):
        yield f"* *{_name(handler)}*: {(handler.__doc__ or '').splitlines()[0]}"


def _name(handler: Callable[..., object]) -> str:
    """Return the name in words; nothing for an event that is ignored."""
    name = handler.__name__.strip("_").replace("_", " ")
    return "" if name == "ignore" else name


if __name__ == "__main__":
    DESIGN.write_text(update(DESIGN.read_text(encoding="utf-8")), encoding="utf-8")
