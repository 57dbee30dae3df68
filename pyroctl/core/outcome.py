"""How a run of a service ended, in values and in words."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyroctl.errors import PERMANENT_FAILURE

if TYPE_CHECKING:
    from collections.abc import Container


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one run: an exit code, or the signal that killed the process.

    `trouble` says what was wrong when the exit alone doesn't tell, such as a start that took too
    long; a run with trouble is never a success.
    """

    code: int | None = None
    signal: int | None = None
    trouble: str | None = None
    ended_by_us: bool = False
    """Whether it was on its way down already: a signal is then no riddle."""

    @property
    def permanent(self) -> bool:
        """Whether the service said that another start is pointless."""
        return self.code == PERMANENT_FAILURE

    def succeeded(self, success_exit: Container[int]) -> bool:
        """Tell whether it ended as the service's specification expects."""
        return self.trouble is None and self.code is not None and self.code in success_exit

    @property
    def exit_code(self) -> int:
        """The exit code of a program whose work this was: as a shell gives it, and never 0."""
        return 128 + self.signal if self.signal is not None else self.code or 1

    def describe(self) -> str:
        """Say it in words, for people."""
        end = self._describe_end()
        return f"{self.trouble} ({end})" if self.trouble and end else self.trouble or end

    def _describe_end(self) -> str:
        if self.signal is not None:
            try:
                name = signal.Signals(self.signal).name
            except ValueError:
                name = f"signal {self.signal}"
            riddle = self.signal == signal.SIGKILL and not (self.trouble or self.ended_by_us)
            return f"killed by {name}{', out of memory?' if riddle else ''}"
        if self.permanent:
            return f"exit code {self.code}, a permanent failure"
        return f"exit code {self.code}" if self.code is not None else ""


UNKNOWN = Outcome(trouble="ended, nobody knows how: its exit code went to a manager that is gone")
"""The end of a process that we haven't started ourselves."""


def outcome_of(returncode: int | None) -> Outcome:
    """Read a return code as `subprocess` gives it: negative for a signal; None can't be known."""
    if returncode is None:
        return UNKNOWN
    return Outcome(signal=-returncode) if returncode < 0 else Outcome(code=returncode)
