"""Pyro5's wire protocol, and a small client for it, without Pyro5's proxies and daemons.

`framing` (bytes to frames) and `messages` (frames to handshakes and calls) do no I/O; `client` is
one blocking connection. On it stand `name_server` and `registration` (an object's name in it);
`address` parses where a name server is, and `backoff` says when to try again.
"""

__all__ = [
    "address",
    "backoff",
    "client",
    "framing",
    "messages",
    "name_server",
    "registration",
]
