"""`python -m pyroctl.manager`: a manager in the background, started by `pyroctl start`."""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import sys

from pyroctl.config.subprocess_loader import Loading
from pyroctl.errors import PyroctlError, system_error
from pyroctl.paths import certs_directory, deployment_paths


class Starter:
    """The command that has started us, and waits for one report through a descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.waits = "PYROCTL_HANDOFF_FD" not in os.environ  # nobody does after a reexec
        if self.waits:
            os.set_inheritable(fd, False)

    def report(self, message: dict[str, object]) -> bool:
        """Return False if it should get the report, and doesn't wait any more."""
        if not self.waits:
            return True
        self.waits = False
        try:
            with open(self._fd, "w") as starter:
                json.dump(message, starter)
        except BrokenPipeError:
            return False
        return True


def run() -> None:
    """Serve in the background; report through a descriptor whether that could start."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config")
    parser.add_argument("--root")
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        check(options.config)
        return
    starter = Starter(options.ready_fd)
    paths = deployment_paths(options.config, options.root, os.environ)
    loading = Loading(options.config, os.environ, os.getcwd(), paths.state)

    def on_ready(news: str) -> bool:
        loading.remember()
        return starter.report({"errors": [], "news": news})

    from pyroctl.manager import lock, main  # while the configuration loads
    from pyroctl.manager.output.logfile import ManagerLog

    try:
        deployment = loading.deployment()
        if starter.waits:
            lock.make_directories(paths)
        logging.basicConfig(level=logging.INFO, handlers=[ManagerLog(paths.manager_log)])
        main.run(
            deployment,
            paths,
            autostart=False,
            certs=certs_directory(options.root, os.environ),
            on_ready=on_ready,
        )
    except (OSError, PyroctlError) as error:
        if isinstance(error, OSError):
            if not (starter.waits and error.errno in {errno.EMFILE, errno.ENFILE}):
                raise
            error = system_error(error)
        if not starter.waits:
            sys.exit(error.exit_code)
        starter.report({"errors": error.entries(), "exit_code": error.exit_code})


def check(config: str | None) -> None:
    """Print whether we could continue in a manager's process; see reexec.py."""
    import pyroctl
    from pyroctl.manager import (
        main,  # noqa: F401 - to check that they can be imported
        reexec,
    )

    found = {"version": pyroctl.__version__, "errors": [], "exit_code": 0}
    try:
        deployment = Loading(config, os.environ, os.getcwd()).deployment()
        reexec.answer_check(deployment, json.loads(sys.stdin.read() or "{}"))
    except PyroctlError as error:
        found |= {"errors": error.entries(), "exit_code": error.exit_code}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    run()
