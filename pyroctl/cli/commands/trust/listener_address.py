"""Where other hosts reach the manager of a deployment."""

from __future__ import annotations

from os.path import join
from typing import TYPE_CHECKING

from pyroctl.certs import authority
from pyroctl.certs.files import CERT, read
from pyroctl.certs.names import join_address, split_address
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from pyroctl.certs.site import Site
    from pyroctl.cli.app import App


def listener_address(app: App, site: Site) -> str:
    """Return the address of the manager's listener by a host that its certificate has.

    Raises PyroctlError if the manager doesn't listen.
    """
    remote = app.call("status")["data"]["manager"].get("remote")
    if remote is None:
        raise PyroctlError(
            "the manager doesn't listen for other hosts",
            hint='[manager.remote] with listen = "HOST:PORT" lets it; then pyroctl reload',
        )
    if remote["error"]:
        raise PyroctlError(remote["error"], hint="when that is corrected: pyroctl reload")
    hosts = authority.read_certificate(read(join(site.folder(remote["name"]), CERT))).hosts
    if not hosts:
        raise PyroctlError(
            f"the certificate {remote['name']} of the listener has no host",
            hint="pyroctl certs server HOST makes one, and manager.remote.name chooses it",
        )
    listen = split_address(remote["listen"])[0]
    chosen = next((host for host in hosts if str(host) == listen), hosts[0])
    return join_address(chosen, remote["port"])
