"""Pyro5's wire protocol, and a small client for it, without Pyro5's proxies and daemons.

`framing` (bytes to frames) and `messages` (frames to handshakes and calls) do no I/O; `client` is
one blocking connection. On it stand `name_server` and `registration` (an object's name in it);
`address` parses where a name server is, `backoff` says when to try again, and `environment`
imports Pyro5 in spite of variables that it doesn't take. `daemon_limits` bounds what Pyro5's own
daemons decode, and `serpent_size` what serpent costs. `certificate` reads what a certificate says,
and `tls_errors` puts into sentences why a TLS connection can't be made. `tls` is such a connection
without a socket, `tls_files` what it needs from files (its key by `private_file`), `tls_reload` the
same while these are replaced, and `tls_clients` who is let in.
"""

__all__ = [
    "address",
    "backoff",
    "certificate",
    "client",
    "daemon_limits",
    "environment",
    "framing",
    "messages",
    "name_server",
    "private_file",
    "registration",
    "serpent_size",
    "tls",
    "tls_clients",
    "tls_errors",
    "tls_files",
    "tls_reload",
]
