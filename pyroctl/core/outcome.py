"""How a run of a service ended, in values and in words."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyroctl.errors import PERMANENT_FAILURE
from pyroctl.printable import brief

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

LONGEST_SAID = 200
"""Characters."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one run: an exit code, or the signal that killed the process.

    `trouble` is what was wrong if the exit alone doesn't show it, such as a start that took too
    long; a run with trouble is never a success.
    """

    code: int | None = None
    signal: int | None = None
    trouble: str | None = None
    ended_by_us: bool = False
    """Whether it was already being stopped, which explains a signal."""
    remark: str = ""
    """What else people should know about it; it decides nothing."""
    said: str = ""
    """Its last line of output, if that may explain a failure."""

    @property
    def permanent(self) -> bool:
        """Whether the service reported that restarting will not help."""
        return self.code == PERMANENT_FAILURE

    def succeeded(self, success_exit: Container[int]) -> bool:
        """Return whether it ended as the service's specification expects."""
        return self.trouble is None and self.code is not None and self.code in success_exit

    @property
    def exit_code(self) -> int:
        """The exit code for a program that ends because of it: as in a shell, and never 0."""
        return 128 + self.signal if self.signal is not None else self.code or 1

    def describe(self) -> str:
        """Describe it for users."""
        end = self._describe_end()
        what = f"{self.trouble} ({end})" if self.trouble and end else self.trouble or end
        return "; ".join(filter(None, (what, self.remark)))

    def remarked(self, remark: str) -> Outcome:
        """Return it with one more remark."""
        return replace(self, remark="; ".join(filter(None, (self.remark, remark))))

    def explain(self) -> str:
        """Describe it with what the service itself said last."""
        separator = "; last line: " if self.trouble == UNKNOWN.trouble else ": "
        return separator.join(filter(None, (self.describe(), self.said)))

    def _describe_end(self) -> str:
        if self.signal is not None:
            try:
                name = signal.Signals(self.signal).name
            except ValueError:
                name = f"signal {self.signal}"
            unexplained = self.signal == signal.SIGKILL and not (self.trouble or self.ended_by_us)
            return f"killed by {name}{', out of memory?' if unexplained else ''}"
        if self.permanent:
            return f"exit code {self.code}, a permanent failure"
        return f"exit code {self.code}" if self.code is not None else ""


def last_said(lines: Sequence[str]) -> str:
    """Return the last of these lines of output that says something, short and printable.

    A line that begins with a URI announces that the service is ready, which explains no end.
    """
    said = (brief(line, LONGEST_SAID) for line in reversed(lines) if not line.startswith("PYRO:"))
    return next((line for line in said if any(map(str.isalnum, line))), "")


UNKNOWN = Outcome(trouble="ended with an unknown exit code: its parent was a manager that is gone")
"""The end of a process that another manager had started."""


def outcome_of(returncode: int | None) -> Outcome:
    """Return the outcome for a return code of `subprocess`; None: it is unknown."""
    if returncode is None:
        return UNKNOWN
    return Outcome(signal=-returncode) if returncode < 0 else Outcome(code=returncode)
