"""Screen 7: what is wrong, or will be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.errors import PyroctlError
from pyroctl.printable import printable
from pyroctl.tui.deployment import envelope
from pyroctl.tui.panes.pane import Pane
from pyroctl.view.lines import Line, Part, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.tui.app import Top

ROLES = {"problem": "failed", "warning": "backoff", "note": "note", "ok": "running"}
"""The style of each level, the gravest first."""


class DoctorPane(Pane):
    """The findings of `pyroctl doctor`, the gravest first."""

    MARKS = True

    def __init__(self, top: Top) -> None:
        super().__init__(top)
        self._asked = False

    def services(self) -> list[str]:
        """Return nothing: there is no service to act on."""
        return []

    def opened(self) -> None:
        """Ask at first."""
        if not self._asked:
            self._asked = True
            self.refresh_data()

    def refresh_data(self) -> None:
        """Ask again."""
        self.list.show([plain("looking …", "dim")])
        self.run_worker(self._ask(), exclusive=True)

    async def _ask(self) -> None:
        try:
            reply = await envelope(self.top.deployment, "doctor")
        except PyroctlError as error:
            self.list.show([plain(error.message, "error")])
            return
        found = reply["data"]
        if found is None:
            self.list.show([plain(each["message"], "error") for each in reply["errors"]])
        else:
            self.list.show(list(findings(found)))
            self.top.draw_soon()


def findings(data: Mapping[str, Any]) -> Iterator[Line]:
    """Return the lines about what the doctor has found."""
    levels = list(ROLES)
    rows = sorted(data["findings"], key=lambda row: levels.index(row["level"]))
    for number, row in enumerate(rows):
        place = f"{printable(row['place'])}: " if row.get("place") else ""
        parts = (
            Part(f"{row['level']:<8} ", ROLES[row["level"]]),
            Part(place, "dim"),
            Part(printable(row["text"])),
        )
        yield Line(f"#{number}", parts)
        if row.get("remedy"):
            yield plain(f"{'':9}{printable(row['remedy'])}", "dim", f"#{number}-remedy")
    for number, what in enumerate(data["unknown"]):
        yield plain(f"unknown  {printable(what)}", "dim", f"#unknown{number}")
    checks = len(data["checks"])
    yield plain(f"{checks} checks{'' if rows else ', nothing found'}", "dim", "#checks")
