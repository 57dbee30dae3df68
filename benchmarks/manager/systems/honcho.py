"""honcho, which runs a Procfile in the foreground. It prints the output, and keeps no logs."""

from __future__ import annotations

import shlex

from benchmarks.manager.processes import BIN
from benchmarks.manager.system import System


class Honcho(System):
    name = "honcho"
    needs = (str(BIN / "honcho"),)
    logs = False

    def configure(self) -> None:
        lines = [
            f"s{number}: exec {shlex.join(command)}\n"
            for number, command in enumerate(self.commands)
        ]
        (self.directory / "Procfile").write_text("".join(lines))

    def manager(self) -> list[str]:
        return [str(BIN / "honcho"), "-d", str(self.directory), "start"]
