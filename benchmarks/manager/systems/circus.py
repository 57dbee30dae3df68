"""circus."""

from __future__ import annotations

import shlex

from benchmarks.manager.processes import BIN
from benchmarks.manager.system import System

CONFIGURATION = """
[circus]
endpoint = ipc://{directory}/control
pubsub_endpoint = ipc://{directory}/events
statsd = False
"""
WATCHER = """
[watcher:s{number}]
cmd = {command}
stdout_stream.class = FileStream
stdout_stream.filename = {directory}/s{number}.out
"""


class Circus(System):
    name = "circus"
    needs = (str(BIN / "circusd"),)

    def configure(self) -> None:
        watchers = "".join(
            WATCHER.format(number=number, command=shlex.join(command), directory=self.directory)
            for number, command in enumerate(self.commands)
        )
        self._file = self.directory / "circus.ini"
        self._file.write_text(CONFIGURATION.format(directory=self.directory) + watchers)

    def _control(self, *words: str) -> list[str]:
        endpoint = f"ipc://{self.directory}/control"
        return [str(BIN / "circusctl"), "--endpoint", endpoint, *words]

    def manager(self) -> list[str]:
        return [str(BIN / "circusd"), "--log-level", "error", str(self._file)]

    def status(self) -> list[str]:
        return self._control("status")

    def stop_all(self) -> list[str]:
        return self._control("stop", "--waiting")

    def logged(self) -> bytes:
        return self._read("s0.out*")
