"""What it takes to start a service: its command line, its environment, its sign of readiness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyroctl.core.spec import (
    CommandOptions,
    EventServiceOptions,
    NameServerOptions,
    ObjectOptions,
)
from pyroctl.core.watchdog import SilenceCheck, check_of
from pyroctl.kinds import command, eventservice, nameserver
from pyroctl.kinds import object as hosted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.core.spec import Orphans, Readiness, ServiceSpec
    from pyroctl.kinds.address import ListenAddress

OWN_VARIABLES = ("PYROCTL_", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_")
"""Prefixes of what the manager was told itself; a service must not take it for its own."""


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """What a service may know about where it runs."""

    deployment: str
    directory: str
    """Where relative paths start."""
    python: str
    """The interpreter for our own services."""
    environ: Mapping[str, str]
    """The manager's environment."""
    ns: str | None = None
    """`HOST:PORT` of the deployment's name server, once it is ready."""
    run: str = ""
    """The deployment's runtime directory."""
    orphans: Orphans = "stop"
    """What becomes of services when the manager is killed."""
    mark: str = ""
    """By what the guard finds those that the manager starts, should it be killed."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to be."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    readiness: Readiness
    controlled: bool
    """Does it speak the child protocol (a control socket, answers about itself)?"""
    listens: ListenAddress | None = None
    """Where the manager listens for it; None when it sees to that itself."""
    outlives: bool = False
    """Whether it goes on when the manager is killed."""


def launch(spec: ServiceSpec, surroundings: LaunchContext) -> Launch:
    """Make the launch of a service."""
    return replace(_launch(spec, surroundings), outlives=surroundings.orphans == "adopt")


def _launch(spec: ServiceSpec, surroundings: LaunchContext) -> Launch:
    options = spec.options
    env = _environment(spec, surroundings)
    cwd = spec.cwd or surroundings.directory
    match options:
        case NameServerOptions():
            argv = nameserver.argv(options, surroundings.python)
            address = nameserver.address(options)
            return Launch(argv, env, cwd, nameserver.READINESS, controlled=True, listens=address)
        case EventServiceOptions():
            argv = eventservice.argv(options, surroundings.python, surroundings.ns)
            at = eventservice.address(options)
            return Launch(argv, env, cwd, eventservice.READINESS, controlled=True, listens=at)
        case ObjectOptions():
            where = surroundings.directory
            argv = hosted.argv(spec.name, options, surroundings.python, where, surroundings.ns)
            port = hosted.address(options)
            return Launch(argv, env, cwd, hosted.READINESS, controlled=True, listens=port)
        case CommandOptions():
            argv = command.argv(options, surroundings.python)
            return Launch(argv, env, cwd, options.ready, controlled=False)


def _environment(spec: ServiceSpec, surroundings: LaunchContext) -> dict[str, str]:
    env = {
        name: value
        for name, value in surroundings.environ.items()
        if not name.startswith(OWN_VARIABLES)
    }
    env.setdefault("PYTHONUNBUFFERED", "1")  # or the last words of a Python service are lost
    env.setdefault("PYRO_LOGFILE", "{stderr}")  # Pyro5 would write a file into the directory
    if surroundings.ns is not None:
        host, _, port = surroundings.ns.rpartition(":")
        env |= {"PYRO_NS_HOST": host.strip("[]"), "PYRO_NS_PORT": port}
    env |= {"PYROCTL_DEPLOYMENT": surroundings.deployment, "PYROCTL_SERVICE": spec.name}
    if surroundings.run:
        env["PYROCTL_RUNTIME_DIR"] = surroundings.run
    if surroundings.mark and surroundings.orphans == "stop":
        env["PYROCTL_RUN"] = surroundings.mark
    check = check_of(spec)
    if isinstance(check, SilenceCheck):
        env["WATCHDOG_USEC"] = str(round(check.period * 1_000_000))  # sd_watchdog_enabled(3)
    if spec.instance is not None:
        env["PYROCTL_INSTANCE"] = str(spec.instance)
    return env | dict(spec.env)
