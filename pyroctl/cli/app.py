"""The deployment that a command line addresses; without click, for the fast path."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from pyroctl.cli.output import Output
from pyroctl.cli.progress import Progress
from pyroctl.control.client import call, manager_pid
from pyroctl.errors import ManagerNotRunning, PyroctlError, Reported
from pyroctl.paths import Paths, deployment_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.config.load import Loaded
    from pyroctl.control.protocol import Message


class App:
    """The deployment that a command line addresses, and the output of the command."""

    def __init__(self) -> None:
        self.config_option: str | None = None
        self.root: str | None = os.environ.get("PYROCTL_ROOT") or None
        self.as_owner = False
        """Whether root becomes the deployment's owner, see `cli.as_owner`."""
        self.output = Output()
        self.output.deployment = self.selection
        self.touched = False
        """The last request has changed some service."""

    @functools.cached_property
    def config(self) -> str | None:
        """The configuration file; None for the built-in deployment. Raises ConfigError."""
        from pyroctl.config.source.discovery import find_config

        return find_config(self.config_option, self.root, os.environ, os.getcwd())

    @functools.cached_property
    def paths(self) -> Paths:
        """The places of the deployment's socket, lock and logs."""
        return deployment_paths(self.config, self.root, os.environ)

    def selection(self) -> list[str]:
        """Return the options that select this deployment, for other commands."""
        root = [] if self.root in {None, os.environ.get("PYROCTL_ROOT")} else ["--root", self.root]
        owner = ["--as-owner"] if self.as_owner else []
        return [*root, *(["-c", self.config_option] if self.config_option else []), *owner]

    def require_config(self) -> str:
        """Return the configuration file; raises PyroctlError for the built-in deployment."""
        if self.config is None:
            raise PyroctlError(
                "there is no configuration file: the built-in deployment is in effect",
                hint="pyroctl init writes one",
            )
        return self.config

    def load(self) -> Loaded:
        """Read the configuration; raises ConfigError."""
        from pyroctl.config.load import load

        return load(self.config, os.environ, os.getcwd())

    def call(self, do: str, services: Sequence[str] = (), **more: str) -> Message:
        """Send the manager a request, show its progress, and return the reply.

        Raises like `control.client.call`, and Reported when the manager has rejected the request.
        """
        chosen = {"config": self.config} if self.config_option else {}
        args = {"services": list(services), **chosen, **more}
        progress = Progress(self.output, self.paths, do, services)
        try:
            reply = call(self.paths, do, args, progress.show)
        except ManagerNotRunning:
            raise self._not_running() from None
        finally:
            progress.clear()
        self.touched = progress.touched
        if reply["data"] is None:
            raise Reported(reply["errors"], reply["exit_code"])
        return reply

    def _not_running(self) -> ManagerNotRunning:
        """Return an error with the deployment, and how to find another one that runs."""
        from pyroctl.control.registry import running

        what = self.config or "the built-in deployment"
        hint = "pyroctl start starts one"
        if running(os.environ):
            hint += "; other deployments run, see pyroctl ls"
        return ManagerNotRunning(f"no manager is running ({what})", hint=hint)

    def suggest_reload(self, *, restart: bool = False) -> None:
        """Print how to apply a change of the configuration, or of the manager's own settings."""
        if manager_pid(self.paths) is not None:
            how = "pyroctl shutdown, then pyroctl start" if restart else "pyroctl reload"
            self.output.progress(self.output.suggest(f"to apply it: {how}"))
