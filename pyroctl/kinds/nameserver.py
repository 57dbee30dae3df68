"""Kind `nameserver`: Pyro5's name server, hosted by `python -m pyro_names`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.core.spec import NotifyReady

if TYPE_CHECKING:
    from pyroctl.core.spec import NameServerOptions

READINESS = NotifyReady()


def argv(options: NameServerOptions, python: str, last_port: int | None) -> tuple[str, ...]:
    """Give the command line; with port 0 the last port is asked for again."""
    return (
        *(python, "-m", "pyro_names"),
        *("--host", options.host, "--port", str(options.port or last_port or 0)),
        *("--storage", options.storage, "--autoclean", f"{options.autoclean:g}"),
        "--broadcast" if options.broadcast else "--no-broadcast",
    )
