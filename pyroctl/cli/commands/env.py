"""`pyroctl env`: print the environment in which programs find a deployment's services."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.arguments import ServiceName
from pyroctl.cli.output import Result
from pyroctl.core.plan import closure
from pyroctl.errors import PyroctlError, UnknownService
from pyroctl.paths import certs_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.cli.app import App

EXAMPLE = """\b
Example:
  eval "$(pyroctl env)"
"""


@cli.command("env", epilog=EXAMPLE)
@click.argument("service", required=False, type=ServiceName())
def command(app: App, service: str | None) -> Result:
    """Print the variables by which Pyro5 finds this deployment's name server.

    They are lines for a shell. With several name servers, SERVICE is one of them or a service that
    needs it. PYROCTL_CERTS is added if there are certificates.
    """
    found = environment(app, service)
    for name, value in found.items():
        quoted = value.replace("'", "'\"'\"'")
        app.output.print(f"export {name}='{quoted}'")
    return Result({"env": found})


def environment(app: App, service: str | None) -> dict[str, str]:
    """Return the variables; raises ManagerNotRunning, UnknownService or PyroctlError."""
    rows = {row["name"]: row for row in app.call("status")["data"]["services"]}
    if service is not None and service not in rows:
        members = [name for name in rows if name.partition("@")[0] == service]
        if not members:
            raise UnknownService(service, rows)
        service = members[0]
    server = _name_server(rows, service)
    if server is None:
        raise PyroctlError(
            "this deployment has no name server",
            hint='add a service of kind = "nameserver", or set PYRO_NS_HOST and PYRO_NS_PORT',
        )
    if not server["uri"]:
        raise PyroctlError(
            f"the name server {server['name']} is {server['state']}",
            hint=f"pyroctl start {server['name']}",
            service=server["name"],
        )
    host, _, port = server["uri"].rpartition("@")[2].rpartition(":")
    found = {"PYRO_NS_HOST": host.strip("[]"), "PYRO_NS_PORT": port}
    certs = certs_directory(app.root, os.environ)
    return found | {"PYROCTL_CERTS": certs} if os.path.isdir(certs) else found


def _name_server(rows: Mapping[str, Any], service: str | None) -> Mapping[str, Any] | None:
    """Return the name server that a service needs, otherwise the first one."""
    needs = {name: row["needs"] for name, row in rows.items()}
    near = closure([] if service is None else [service], needs)
    servers = [row for row in rows.values() if row["kind"] == "nameserver"]
    return min(servers, key=lambda row: row["name"] not in near, default=None)
