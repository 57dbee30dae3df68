"""`pyroctl unit`: files by which other programs run this deployment."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.core.plan import stop_waves
from pyroctl.errors import EXIT_CONFIG, EXIT_USAGE, PyroctlError
from pyroctl.paths import deployment_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.cli.app import App
    from pyroctl.core.spec import Deployment

WATCHDOG = 30
"""Seconds after which systemd replaces a manager that gives no sign of life."""
SPARE = 10
"""Seconds that the manager has to end, beside what its services may take."""

command = cli.group("unit", "Print files by which other programs run this deployment.")


@cli.command("systemd")
@click.option("--user", "for_user", is_flag=True, help="For the service manager of one user.")
def systemd(app: App, *, for_user: bool) -> Result:
    r"""Print a systemd unit for this deployment.

    \b
    pyroctl unit systemd --user > ~/.config/systemd/user/pyroctl-lab.service
    systemctl --user enable --now pyroctl-lab
    """
    deployment = app.load().deployment
    root = None if app.root is None else os.path.abspath(app.root)
    place = root or (None if for_user else f"/var/lib/pyroctl/{deployment.name}")
    unit = "\n".join(_lines(app, deployment, place, for_user=for_user))
    app.output.print(unit)
    if place != root:
        app.output.progress(f"commands for it: pyroctl --root {place} status")
    return Result({"unit": unit, "name": f"pyroctl-{deployment.name}.service", "root": place})


command.add_command(systemd)


def _lines(app: App, deployment: Deployment, root: str | None, *, for_user: bool) -> Iterator[str]:
    directory = "~/.config/systemd/user" if for_user else "/etc/systemd/system"
    yield f"# Goes into {directory}/pyroctl-{deployment.name}.service"
    yield "[Unit]"
    yield f"Description=Pyro services: {deployment.name}"
    if not for_user:
        yield from ("Wants=network-online.target", "After=network-online.target")
    yield from ("", "[Service]", "Type=notify", "NotifyAccess=main")
    yield "ExecStart=" + " ".join(map(_quoted, _command(app.config, root)))
    yield "ExecReload=/bin/kill -HUP $MAINPID"
    yield from ("Restart=on-failure", "RestartSec=1")
    yield "# A wrong command line or configuration doesn't mend itself."
    yield f"RestartPreventExitStatus={EXIT_USAGE} {EXIT_CONFIG}"
    yield f"WatchdogSec={WATCHDOG}"
    yield "# Each service has a start_timeout of its own."
    yield "TimeoutStartSec=infinity"
    yield f"TimeoutStopSec={_longest_stop(deployment) + SPARE:g}"
    yield from _killing(deployment)
    yield from _directories(app, deployment, root)
    yield from ("", "[Install]")
    yield f"WantedBy={'default' if for_user else 'multi-user'}.target"


def _killing(deployment: Deployment) -> Iterator[str]:
    """Say what becomes of processes that are left when the manager has ended."""
    if deployment.orphans == "adopt":
        yield "# Services outlive the manager, until the next one takes them over."
        yield from ("KillMode=process", "RuntimeDirectoryPreserve=restart")
    else:
        yield "# The manager stops its services in order; what is left after that is killed."
        yield "KillMode=mixed"


def _directories(app: App, deployment: Deployment, root: str | None) -> Iterator[str]:
    """Let systemd make the directories that it removes, or that only it may make."""
    if root is None:
        run = deployment_paths(app.config, None, {"XDG_RUNTIME_DIR": "/"}).run
        yield from (f"RuntimeDirectory={_escaped(run.lstrip('/'))}", "RuntimeDirectoryMode=0700")
    elif app.root is None:
        yield from (f"StateDirectory=pyroctl/{deployment.name}", "StateDirectoryMode=0700")


def _command(config: str | None, root: str | None) -> list[str]:
    words = [_program()]
    words += [] if config is None else ["--config", config]
    words += [] if root is None else ["--root", root]
    return [*words, "run", "--no-logs"]


def _program() -> str:
    """Find ourselves; systemd wants the whole path."""
    beside_python = os.path.join(os.path.dirname(sys.executable), "pyroctl")
    for path in (os.path.abspath(sys.argv[0]), beside_python):
        if os.path.basename(path) == "pyroctl" and os.access(path, os.X_OK):
            return path
    raise PyroctlError(f"there is no program {beside_python}", hint="install pyroctl with pip")


def _longest_stop(deployment: Deployment) -> float:
    """Give how many seconds an orderly stop of all services may take."""
    services = deployment.services
    waves = stop_waves(services, {name: spec.needs for name, spec in services.items()})
    return sum(max(services[name].stop_timeout for name in wave) for wave in waves)


def _quoted(word: str) -> str:
    """Write a word of a command as systemd.service(5) wants it."""
    escaped = _escaped(word).replace("$", "$$")
    if not any(character in escaped for character in " \t\n\"'\\;"):
        return escaped
    for character, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
        escaped = escaped.replace(character, written)
    return f'"{escaped}"'


def _escaped(text: str) -> str:
    """Keep systemd from taking per cent signs for specifiers."""
    return text.replace("%", "%%")
