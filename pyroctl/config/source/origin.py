"""Where a value of the configuration came from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a file, or an environment variable; with neither, the value is a default."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    variable: str | None = None

    def __str__(self) -> str:
        return self.variable or ("default" if self.file is None else f"{self.file}:{self.line}")

    def entry(self) -> dict[str, object]:
        """Give it as JSON has it: `file` and `line`, and `variable` if it is one."""
        found: dict[str, object] = {"file": self.file, "line": self.line}
        return {**found, "variable": self.variable} if self.variable else found
