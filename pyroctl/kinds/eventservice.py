"""Kind `eventservice`: hosted by `python -m pyro_events`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.core.spec import NotifyReady

if TYPE_CHECKING:
    from pyroctl.core.spec import EventServiceOptions

READINESS = NotifyReady()


def argv(
    options: EventServiceOptions, python: str, ns: str | None, last_port: int | None
) -> tuple[str, ...]:
    """Give the command line; `ns` is the deployment's own name server, if it has one.

    With port 0 the last port is asked for again: who knows the old address finds it there.
    """
    name_server = options.ns or ns
    queue_bytes = options.queue_bytes
    unix = options.host.startswith("./u:")
    port = 0 if unix else options.port or last_port or 0
    return (
        *(python, "-m", "pyro_events"),
        *("--host", options.host, "--port", str(port)),
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
