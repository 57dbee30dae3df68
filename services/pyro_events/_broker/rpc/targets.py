"""The address of a subscriber, made of what a client passes as one."""

from __future__ import annotations

import ipaddress

from Pyro5.client import Proxy
from Pyro5.core import URI
from Pyro5.errors import PyroError

from pyro_events._protocol.subjects import check_control

_MAX_PORT = 65535
_MAX_URI = 1000
_ANY_HOST = ("0.0.0.0", "::")  # noqa: S104 - what must not be in an address


def subscriber_uri(subscriber: object, peer: str | None) -> URI:
    """Return the address of a subscriber: a proxy, an autoproxied object (it arrives as a proxy), a
    URI or its text.

    `peer` is the caller's own address, None if it called over a Unix socket. It stands in for
    an address that is only valid there: 0.0.0.0, and localhost of another machine. A subscriber on
    a Unix socket is called only for clients of our own Unix socket: others could have us open
    sockets that are closed to them.
    Raises TypeError for anything else, ValueError for an address that can't be called.
    """  # noqa: D205 - the list doesn't fit a line
    if isinstance(subscriber, Proxy):
        uri = subscriber._pyroUri  # noqa: SLF001 - Pyro5's public name for it
    elif isinstance(subscriber, URI):
        uri = subscriber
    elif isinstance(subscriber, str):
        uri = _parse(subscriber)
    else:
        raise TypeError(
            "subscriber must be a Pyro object, a proxy, a URI or its text, "
            f"not {type(subscriber).__name__}"
        )
    return _usable(uri, peer)


def check_event_method(subscriber: object) -> None:
    """Raise TypeError for an object that is known to have no exposed method `event`.

    That is known of an autoproxied object and of a proxy that was used before; of others when they
    are called for the first time.
    """
    if isinstance(subscriber, Proxy):
        exposed = subscriber._pyroMethods | subscriber._pyroAttrs  # noqa: SLF001 - Pyro5's public names
        if exposed and "event" not in exposed:
            raise TypeError(
                f"subscriber {subscriber._pyroUri} has no exposed method `event`, "  # noqa: SLF001 - the same
                f"only {', '.join(sorted(exposed))}"
            )


def is_loopback(address: str | None) -> bool:
    """Return whether the address is this machine's own, as None and the empty name are."""
    if not address or address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _parse(text: str) -> URI:
    try:
        return URI(text)
    except PyroError as error:
        raise ValueError(f"subscriber {text!r} is not a Pyro URI: {error}") from None


def _usable(uri: URI, peer: str | None) -> URI:
    if len(str(uri)) > _MAX_URI:
        raise ValueError(f"subscriber {str(uri)[:40]}… is longer than {_MAX_URI} characters")
    check_control(str(uri), "subscriber")
    if uri.protocol != "PYRO":
        raise ValueError(
            f"subscriber {uri} must be resolved first: pass a PYRO: URI or a bound proxy"
        )
    if uri.sockname is not None:
        if peer is not None:
            raise ValueError(
                f"subscriber {uri} is on a Unix socket; it can be called only for clients that use "
                "the event service's own Unix socket"
            )
        return uri
    if not isinstance(uri.port, int) or not 0 < uri.port <= _MAX_PORT:
        raise ValueError(f"subscriber {uri} has no port to connect to")
    if not isinstance(uri.host, str) or not uri.host:
        raise ValueError(f"subscriber {uri} has no host to connect to")
    if uri.host in _ANY_HOST or (is_loopback(uri.host) and not is_loopback(peer)):
        host = peer or "127.0.0.1"
        shown = f"[{host}]" if ":" in host else host
        return URI(f"PYRO:{uri.object}@{shown}:{uri.port}")
    return uri
