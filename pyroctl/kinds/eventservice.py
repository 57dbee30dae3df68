"""Kind `eventservice`: hosted by `python -m pyro_events`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.core.spec import NotifyReady
from pyroctl.kinds.address import TcpAddress, UnixAddress

if TYPE_CHECKING:
    from pyroctl.core.spec import EventServiceOptions
    from pyroctl.kinds.address import ListenAddress

READINESS = NotifyReady()
UNIX = "./u:"
"""What a host begins with that is the path of a Unix socket; Pyro5's notation."""


def address(options: EventServiceOptions) -> ListenAddress:
    """Give where it listens."""
    if options.host.startswith(UNIX):
        return UnixAddress(options.host.removeprefix(UNIX), int(options.socket_mode, 8))
    return TcpAddress(options.host, options.port)


def argv(options: EventServiceOptions, python: str, ns: str | None) -> tuple[str, ...]:
    """Give the command line; `ns` is the deployment's own name server, if it has one."""
    name_server = options.ns or ns
    queue_bytes = options.queue_bytes
    return (
        *(python, "-m", "pyro_events"),
        *("--host", options.host, "--port", str(options.port)),
        *("--socket-mode", options.socket_mode),
        *("--queue-size", str(options.queue_size), "--when-full", options.when_full),
        *("--block-timeout", f"{options.block_timeout:g}"),
        *("--max-message-size", str(options.max_message_size)),
        *("--max-connections", str(options.max_connections)),
        *("--max-connections-per-peer", str(options.max_connections_per_peer)),
        *("--max-subscribers", str(options.max_subscribers)),
        *("--max-subscriptions", str(options.max_subscriptions)),
        *("--handshake-timeout", f"{options.handshake_timeout:g}"),
        *(("--queue-bytes", str(queue_bytes)) if queue_bytes is not None else ()),
        *(("--trusted",) if options.trusted else ()),
        *(("--ident-file", options.ident_file) if options.ident_file else ()),
        *(("--ns", name_server) if name_server else ()),
    )
