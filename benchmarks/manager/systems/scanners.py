"""runit and s6: a process for each service, in C. They leave the output to the service."""

from __future__ import annotations

import shlex
import shutil

from benchmarks.manager.system import System


class Scanner(System):
    """A directory with a directory for each service, with a program `run` in it."""

    logs = False

    def configure(self) -> None:
        self._services = []
        for number, command in enumerate(self.commands):
            service = self.directory / "scan" / f"s{number}"
            service.mkdir(parents=True)
            (service / "run").write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n")
            (service / "run").chmod(0o755)
            self._services.append(str(service))


class Runit(Scanner):
    name = "runit"
    needs = ("/usr/bin/runsvdir", "/usr/bin/sv")

    def manager(self) -> list[str]:
        return ["/usr/bin/runsvdir", str(self.directory / "scan")]

    def status(self) -> list[str]:
        return ["/usr/bin/sv", "status", *self._services]

    def stop_all(self) -> list[str]:
        return ["/usr/bin/sv", "stop", *self._services]


class S6(Scanner):
    name = "s6"
    needs = ("/usr/bin/s6-svscan", "/usr/bin/s6-svc")

    def manager(self) -> list[str]:
        return ["/usr/bin/s6-svscan", "-c", "2000", str(self.directory / "scan")]

    def status(self) -> list[str]:
        every = f"for s in {shlex.join(self._services)}; do s6-svstat $s; done"
        return [str(shutil.which("sh")), "-c", every]

    def stop_all(self) -> list[str]:
        services = shlex.join(self._services)
        every = f"for s in {services}; do s6-svc -d $s; done; s6-svwait -D {services}"
        return [str(shutil.which("sh")), "-c", every]
