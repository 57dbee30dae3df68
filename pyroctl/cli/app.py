"""The deployment that a command line is about.

Without click, because the quick way of `pyroctl status` comes through here.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from pyroctl.cli.output import Output
from pyroctl.control.client import call, manager_pid
from pyroctl.errors import Reported
from pyroctl.paths import Paths, deployment_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.config.load import Loaded
    from pyroctl.control.protocol import Message


class App:
    """The deployment that a command line is about, and where the answer goes."""

    def __init__(self) -> None:
        self.config_option: str | None = None
        self.root: str | None = os.environ.get("PYROCTL_ROOT") or None
        self.output = Output()

    @functools.cached_property
    def config(self) -> str | None:
        """The configuration file; None for the built-in deployment. Raises ConfigError."""
        from pyroctl.config.source.discovery import find_config

        return find_config(self.config_option, self.root, os.environ, os.getcwd())

    @functools.cached_property
    def paths(self) -> Paths:
        """Where the deployment's socket, lock and logs are."""
        words = (
            [f"--root {self.root} "]
            if self.root not in {None, os.environ.get("PYROCTL_ROOT")}
            else []
        )
        words += [f"-c {self.config_option} "] if self.config_option else []
        self.output.deployment = "".join(words)
        return deployment_paths(self.config, self.root, os.environ)

    def load(self) -> Loaded:
        """Read the configuration; raises ConfigError."""
        from pyroctl.config.load import load

        return load(self.config, os.environ, os.getcwd())

    def call(self, do: str, services: Sequence[str] = (), **more: str) -> Message:
        """Let the manager do something, showing its progress.

        Raises as `control.client.call`, and Reported when the manager did nothing but refuse.
        """
        chosen = {"config": self.config} if self.config_option else {}
        args = {"services": list(services), **chosen, **more}
        reply = call(self.paths, do, args, self._show)
        if reply["data"] is None:
            raise Reported(reply["errors"], reply["exit_code"])
        return reply

    def manager_runs(self) -> bool:
        """Tell whether some process is this deployment's manager, answering or not."""
        return manager_pid(self.paths) is not None

    def _show(self, event: Message) -> None:
        if event["kind"] == "progress" and "service" in event:
            self.output.progress(self._describe(event))
        elif event["kind"] in {"progress", "waiting"}:
            self.output.progress(event["text"])

    def _describe(self, event: Message) -> str:
        import sys

        facts = [f"pid {event['pid']}"] if event["pid"] else []
        facts += [event["uri"]] if event["uri"] and event["state"] == "running" else []
        facts += [event["reason"]] if event["reason"] and event["state"] != "running" else []
        state = self.output.style(event["state"], event["state"], sys.stderr)
        what = f"{event['service']} {state}"
        what += f" ({', '.join(facts)})" if facts else ""
        if event["state"] == "running":
            what += self.output.suggest(f" · logs: pyroctl logs -f {event['service']}")
        return what
