"""Kind `nameserver`: Pyro5's name server, hosted by `python -m pyro_names`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.core.spec import NotifyReady
from pyroctl.kinds.address import TcpAddress

if TYPE_CHECKING:
    from pyroctl.core.spec import NameServerOptions

READINESS = NotifyReady()


def address(options: NameServerOptions) -> TcpAddress:
    """Give where it listens."""
    return TcpAddress(options.host, options.port)


def argv(options: NameServerOptions, python: str) -> tuple[str, ...]:
    """Give the command line."""
    return (
        *(python, "-m", "pyro_names"),
        *("--host", options.host, "--port", str(options.port)),
        *("--storage", options.storage, "--autoclean", f"{options.autoclean:g}"),
        "--broadcast" if options.broadcast else "--no-broadcast",
    )
