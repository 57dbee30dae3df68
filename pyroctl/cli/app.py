"""What all commands share: the global options, the deployment they speak of, how they are made."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli.output import Output, Result
from pyroctl.control.client import call, manager_pid
from pyroctl.control.paths import Paths, deployment_paths
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        from pyroctl.config.locate import find_config

        return find_config(self.config_option, self.root, os.environ, os.getcwd())

    @functools.cached_property
    def paths(self) -> Paths:
        """Where the deployment's socket, lock and logs are."""
        return deployment_paths(self.config, self.root, os.environ)

    def load(self) -> Loaded:
        """Read the configuration; raises ConfigError."""
        from pyroctl.config.load import load

        return load(self.config, os.environ, os.getcwd())

    def call(self, do: str, services: Sequence[str] = ()) -> Message:
        """Let the manager do something, showing its progress; raises as `control.client.call`."""
        return call(self.paths, do, {"services": list(services)}, self._show)

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
            what += f" · logs: pyroctl logs -f {event['service']}"
        return what


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Make an option's callback; the same option may stand before and after the command."""

    def store(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        app = ctx.find_root().ensure_object(App)
        if not value:
            return
        if name in {"config_option", "root"}:
            setattr(app, name, value)
        else:
            setattr(app.output, name, value)

    return store


def global_options() -> list[click.Option]:
    """Give the options that every command takes."""
    shared: dict[str, Any] = {"expose_value": False, "is_eager": True}
    return [
        click.Option(
            ["-c", "--config"],
            metavar="FILE",
            callback=_remember("config_option"),
            help="The deployment's configuration file.",
            **shared,
        ),
        click.Option(
            ["--root"],
            metavar="DIR",
            callback=_remember("root"),
            help="Keep configuration, state, socket and logs below DIR.",
            **shared,
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            callback=_remember("json"),
            help="Print one JSON object.",
            **shared,
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            callback=_remember("color"),
            help="When to use colors.",
            **shared,
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            callback=_remember("verbose"),
            help="Say more.",
            **shared,
        ),
    ]


class Command(click.Command):
    """A command with the global options; its function gets the App and gives a Result."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])

    def invoke(self, ctx: click.Context) -> Result:
        """Run it, and remember its name for the envelope."""
        app = ctx.find_root().ensure_object(App)
        app.output.command = ctx.command_path.split()[1:]
        result: Result = super().invoke(ctx)
        return result


pass_app = click.make_pass_decorator(App, ensure=True)


def command(name: str) -> Callable[[Callable[..., Result]], click.Command]:
    """Make a function a command; its docstring is the help."""

    def make(function: Callable[..., Result]) -> click.Command:
        return click.command(name, cls=Command)(pass_app(function))

    return make


class ServiceName(click.ParamType[str]):
    """A service's name; completes without starting anything."""

    name = "service"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        """Offer the names in the configuration, however broken the rest of it is."""
        import tomllib

        from click.shell_completion import CompletionItem

        app = ctx.find_root().ensure_object(App)
        names = ["ns", "es"]
        try:
            if app.config is not None:
                with open(app.config, "rb") as file:
                    names = list(tomllib.load(file).get("services", {}))
        except (OSError, ValueError, AttributeError, PyroctlError):
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


services_argument = click.argument("services", nargs=-1, type=ServiceName(), metavar="[SERVICE]...")
