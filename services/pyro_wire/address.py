"""Addresses of name servers: `HOST:PORT`, `[IPv6]:PORT` or `./u:PATH` (Pyro5/core.py, URI)."""

from __future__ import annotations

from Pyro5 import config
from Pyro5.core import NAMESERVER_NAME, URI
from Pyro5.errors import PyroError


class AddressError(ValueError):
    """A text that is not the address of a name server."""


def host_port(host: str, port: int) -> str:
    """Return `HOST:PORT`, with an IPv6 address in brackets."""
    return f"[{host.strip('[]')}]:{port}" if ":" in host else f"{host}:{port}"


def name_server_uri(address: str | None) -> URI:
    """Return the URI of the name server at `address`, which may be a `PYRO:` URI already.

    None stands for Pyro5's configuration, NS_HOST and NS_PORT; NS_PORT is also the default port.
    Raises AddressError.
    """
    text = host_port(config.NS_HOST, config.NS_PORT) if address is None else address
    if not text.upper().startswith("PYRO:"):
        port_missing = text.endswith("]") if text.startswith("[") else ":" not in text
        text = f"PYRO:{NAMESERVER_NAME}@{text}" + (f":{config.NS_PORT}" if port_missing else "")
    try:
        uri = URI(text)
    except PyroError as error:
        raise AddressError(f"{address!r} is not a name server address: {error}") from None
    if not (uri.host or uri.sockname):
        raise AddressError(f"{address!r} is not a name server address: it names no host")
    return uri
