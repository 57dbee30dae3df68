"""Pyro5's wire protocol, and a small client for it, without Pyro5's proxies and daemons.

`framing` (bytes to frames) and `messages` (frames to handshakes and calls) do no I/O; `client` is
one blocking connection. On it stand `name_server` and `registration` (an object's name in it);
`address` parses where a name server is, `backoff` says when to try again, and `environment`
imports Pyro5 in spite of variables that it doesn't take. `daemon_limits` bounds what Pyro5's own
daemons decode, and `serpent_size` what serpent costs. `challenge` has the proofs that both ends
have a secret (its file is read by `private_file`), `names_key` those of a manager's services. The
folder `tls` has certificates, and connections that use them.
"""

__all__ = [
    "address",
    "backoff",
    "challenge",
    "client",
    "daemon_limits",
    "environment",
    "framing",
    "messages",
    "name_server",
    "names_key",
    "private_file",
    "registration",
    "serpent_size",
    "tls",
]
