"""Services that anybody on the network can use: beyond loopback, without TLS or identification.

A warning of `config check`, and an error with `strict`. Pure.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from pyroctl.config.source.diagnostics import Problem
from pyroctl.core.key_types import UNIX
from pyroctl.core.spec import EventServiceOptions, NameServerOptions, ObjectOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.core.spec import Options, ServiceSpec


def exposed(services: Mapping[str, ServiceSpec]) -> Iterator[Problem]:
    """Yield what is wrong with the hosts of services that ask nobody who he is."""
    for name, spec in services.items():
        options = spec.options
        if (
            isinstance(options, NameServerOptions | EventServiceOptions | ObjectOptions)
            and not is_loopback(options.host)
            and not _asks(options)
        ):
            remedy = 'tls = "required"'
            if isinstance(options, EventServiceOptions):
                remedy += " or ident_file"
            yield Problem(
                ("services", name, "host"),
                f"whoever reaches {options.host} can use this service",
                f'add {remedy}, or use host = "localhost"',
            )


def is_loopback(host: str) -> bool:
    """Return whether only clients of this machine can come to a host, as far as it shows."""
    if host == "localhost" or host.startswith(UNIX):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _asks(options: Options) -> bool:
    """Return whether each client has to have a certificate or a secret."""
    match options:
        case EventServiceOptions(tls=tls, ident_file=ident_file):
            return tls == "required" or ident_file is not None
        case ObjectOptions(ssl_servercert=str(), ssl_requireclientcert=True):
            return True
        case NameServerOptions(tls=tls) | ObjectOptions(tls=tls):
            return tls == "required"
    return True
