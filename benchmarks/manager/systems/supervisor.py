"""Supervisor, the primary baseline."""

from __future__ import annotations

import shlex

from benchmarks.manager.processes import BIN
from benchmarks.manager.system import System

CONFIGURATION = """
[supervisord]
nodaemon = true
logfile = {directory}/log
pidfile = {directory}/pid
childlogdir = {directory}

[unix_http_server]
file = {directory}/socket

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{directory}/socket
"""
PROGRAM = """
[program:s{number}]
command = {command}
startsecs = 0
autorestart = true
stdout_logfile = {directory}/s{number}.out
"""


class Supervisor(System):
    name = "supervisor"
    needs = (str(BIN / "supervisord"),)

    def configure(self) -> None:
        programs = "".join(
            PROGRAM.format(number=number, command=shlex.join(command), directory=self.directory)
            for number, command in enumerate(self.commands)
        )
        self._file = self.directory / "supervisord.conf"
        self._file.write_text(CONFIGURATION.format(directory=self.directory) + programs)

    def _control(self, *words: str) -> list[str]:
        return [str(BIN / "supervisorctl"), "-c", str(self._file), *words]

    def manager(self) -> list[str]:
        return [str(BIN / "supervisord"), "-c", str(self._file)]

    def status(self) -> list[str]:
        return self._control("status")

    def stop_all(self) -> list[str]:
        return self._control("stop", "all")

    def logged(self) -> bytes:
        return self._read("s0.out*")
