"""Ours: a start that finds the configuration as it was, and the very first one."""

from __future__ import annotations

import json

from benchmarks.manager.processes import BIN, run
from benchmarks.manager.system import System


class Pyroctl(System):
    name = "pyroctl"

    def configure(self) -> None:
        (self.directory / "pyroctl.toml").write_text(
            "".join(
                f'[services.s{number}]\nkind = "command"\ncommand = {json.dumps(command)}\n'
                "ready = { delay = 0 }\nrestart_delay = 0\nstart_limit = 1000\n"
                "log = { max_bytes = 50_000_000 }\n"
                for number, command in enumerate(self.commands)
            )
        )

    def prepare(self) -> None:
        run(self._with("start"))
        run(self._with("shutdown"))

    def _with(self, *words: str) -> list[str]:
        return [str(BIN / "pyroctl"), "--root", str(self.directory), *words]

    def manager(self) -> list[str]:
        return self._with("run")

    def status(self) -> list[str]:
        return self._with("status")

    def stop_all(self) -> list[str]:
        return self._with("stop")

    def logged(self) -> bytes:
        return self._read("logs/s0.log*")


class FirstPyroctl(Pyroctl):
    name = "pyroctl first start"

    def prepare(self) -> None:
        """Leave it to check the configuration."""
