"""`pyroctl stop`: stop services, dependents first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.cli import command as cli
from pyroctl.cli.arguments import services_argument
from pyroctl.cli.background import reattach_orphans
from pyroctl.cli.output import Result
from pyroctl.cli.warn import warn, warning_options
from pyroctl.core.instances import meant
from pyroctl.errors import ManagerNotRunning, UnknownService

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("stop")
@services_argument
@warning_options
def command(app: App, services: tuple[str, ...], *, yes: bool, safe: bool) -> Result:
    """Stop services, dependents first.

    Without a name, all services stop. The manager keeps running. Like restart, the command warns
    before clients lose something.
    """
    reattach_orphans(app)
    try:
        warn(app, "stop", services, yes=yes, safe=safe)
        reply = app.call("stop", services)
    except ManagerNotRunning:
        return _already_down(app, services)
    return Result(reply["data"], reply["errors"], reply["exit_code"])


def _already_down(app: App, services: tuple[str, ...]) -> Result:
    """Report that nothing is running; raises UnknownService."""
    if services:
        known = app.load().deployment.services
        for name in meant(services, known):
            if name not in known:
                raise UnknownService(name, known)
    app.output.progress("no manager is running")
    return Result({"services": []})
