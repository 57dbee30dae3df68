"""`pyroctl unit`: print files by which other programs run this deployment."""

from __future__ import annotations

import os
import shlex
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

PLACES = ("XDG_RUNTIME_DIR", "XDG_STATE_HOME")
WATCHDOG = 30
"""Seconds after which systemd replaces a manager that sends no keep-alive ping."""
SPARE = 10
"""Seconds for the manager to exit, beyond the time that its services may take."""
EXAMPLE = """\b
Example:
  pyroctl unit systemd --user > ~/.config/systemd/user/pyroctl-lab.service
  systemctl --user enable --now pyroctl-lab
"""

command = cli.group("unit", "Print files by which other programs run this deployment.")


@cli.command("systemd", epilog=EXAMPLE)
@click.option(
    "--user", "for_user", is_flag=True, help="Print a unit for the user's service manager."
)
def systemd(app: App, *, for_user: bool) -> Result:
    """Print a systemd unit that runs this deployment.

    The first line names the file to install it as.
    """
    deployment = app.load().deployment
    root = None if app.root is None else os.path.abspath(app.root)
    place = root or (None if for_user else f"/var/lib/pyroctl/{deployment.name}")
    lines = list(_lines(app, deployment, place, for_user=for_user))
    for line in lines:
        app.output.verbatim(line)
    if place is not None and place != root:
        command = shlex.join(["pyroctl", "--root", place, "status"])
        app.output.progress(f"to address this deployment: {command}")
    name = f"pyroctl-{deployment.name}.service"
    return Result({"unit": "\n".join(lines), "name": name, "root": place})


command.add_command(systemd)


def _lines(app: App, deployment: Deployment, root: str | None, *, for_user: bool) -> Iterator[str]:
    directory = "~/.config/systemd/user" if for_user else "/etc/systemd/system"
    yield f"# {directory}/pyroctl-{deployment.name}.service"
    yield "[Unit]"
    yield f"Description=Pyro services: {deployment.name}"
    if not for_user:
        yield from ("Wants=network-online.target", "After=network-online.target")
    yield from ("", "[Service]", "Type=notify", "NotifyAccess=main")
    yield "ExecStart=" + " ".join(map(_quoted, _command(app.config, root)))
    yield "ExecReload=/bin/kill -HUP $MAINPID"
    yield from ("Restart=on-failure", "RestartSec=1")
    yield "# An invalid command line or configuration needs a person to fix it."
    yield f"RestartPreventExitStatus={EXIT_USAGE} {EXIT_CONFIG}"
    yield f"WatchdogSec={WATCHDOG}"
    yield "# Each service has its own start_timeout."
    yield "TimeoutStartSec=infinity"
    yield f"TimeoutStopSec={_longest_stop(deployment) + SPARE:g}"
    yield from _killing(deployment)
    yield from _directories(app, deployment, root)
    yield from ("", "[Install]")
    yield f"WantedBy={'default' if for_user else 'multi-user'}.target"


def _killing(deployment: Deployment) -> Iterator[str]:
    """Return what systemd does to processes that are left when the manager has ended."""
    if deployment.orphans == "adopt":
        yield "# Services outlive the manager; the next manager reattaches to them."
        yield from ("KillMode=process", "RuntimeDirectoryPreserve=restart")
    else:
        yield "# The manager stops its services in order; systemd kills what remains after that."
        yield "KillMode=mixed"


def _directories(app: App, deployment: Deployment, root: str | None) -> Iterator[str]:
    """Return the directories that systemd must create, or else removes."""
    if root is None:
        run = deployment_paths(app.config, None, dict.fromkeys(PLACES, "/")).run
        yield from (f"RuntimeDirectory={_escaped(run.lstrip('/'))}", "RuntimeDirectoryMode=0700")
    elif app.root is None:
        yield from (f"StateDirectory=pyroctl/{deployment.name}", "StateDirectoryMode=0700")


def _command(config: str | None, root: str | None) -> list[str]:
    words = [_program()]
    words += [] if config is None else ["--config", config]
    words += [] if root is None else ["--root", root]
    return [*words, "run", "--no-logs"]


def _program() -> str:
    """Return the absolute path of this program, which systemd needs."""
    beside_python = os.path.join(os.path.dirname(sys.executable), "pyroctl")
    for path in (os.path.abspath(sys.argv[0]), beside_python):
        if os.path.basename(path) == "pyroctl" and os.access(path, os.X_OK):
            return path
    raise PyroctlError(f"{beside_python} does not exist", hint="install pyroctl with pip")


def _longest_stop(deployment: Deployment) -> float:
    """Return how many seconds an orderly stop of all services may take."""
    services = deployment.services
    waves = stop_waves(services, {name: spec.needs for name, spec in services.items()})
    return sum(max(services[name].stop_timeout for name in wave) for wave in waves)


def _quoted(word: str) -> str:
    """Return a word of a command, quoted as systemd.service(5) requires."""
    escaped = _escaped(word).replace("$", "$$")
    if not any(character in escaped for character in " \t\n\"'\\;"):
        return escaped
    for character, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
        escaped = escaped.replace(character, written)
    return f'"{escaped}"'


def _escaped(text: str) -> str:
    """Return a text in which systemd finds no specifiers (%)."""
    return text.replace("%", "%%")
