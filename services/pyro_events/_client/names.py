"""Where the event service is: URIs, and the name server's knowledge.

The same places are asked in the same order as by `Pyro5.core.locate_ns`, but nothing here can
hang: every step has a deadline and ends at once when the helper is closed.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING

from Pyro5 import config
from Pyro5.core import NAMESERVER_NAME, URI
from Pyro5.errors import NamingError, PyroError
from Pyro5.serializers import serializers_by_id

from pyro_events._client.calls import decode_answer
from pyro_events._client.connection import Connection
from pyro_events._client.waker import Stopped
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events.errors import EventServiceError, Unreachable
from pyro_wire import framing

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._client.waker import Waker

_BROADCAST_WAIT = 0.7


def parse(es: str | None) -> URI:
    """Give the URI that `es` means; None is the event service's name in the name server.

    Raises ValueError for text that is no PYRO: or PYRONAME: URI, TypeError for anything else.
    """
    if es is None:
        return URI(f"PYRONAME:{EVENTSERVICE_NAME}")
    if not isinstance(es, (str, URI)):
        raise TypeError(f"es must be a URI as text, not {type(es).__name__}: {es!r:.60}")
    try:
        uri = URI(es)
    except PyroError as error:
        raise ValueError(
            f"es must be a URI like PYRO:{EVENTSERVICE_NAME}@host:port: {error}: {es!r}"
        ) from None
    if uri.protocol not in ("PYRO", "PYRONAME"):
        raise ValueError(f"es must be a PYRO: or PYRONAME: URI, not {es!r}")
    return uri


def resolve(uri: URI, waker: Waker, clock: Callable[[], float], deadline: float) -> URI:
    """Give the PYRO: URI behind a PYRONAME: one. Raises Unreachable, and Stopped."""
    if uri.protocol == "PYRO":
        return uri
    host, port = uri.host or config.NS_HOST, uri.port or config.NS_PORT
    server = URI(f"PYRO:{NAMESERVER_NAME}@{_bracketed(host)}:{port}")
    if uri.sockname:
        server = URI(f"PYRO:{NAMESERVER_NAME}@./u:{uri.sockname}")
    try:
        return _ask(server, uri.object, waker, clock, deadline)
    except Unreachable as error:
        if uri.location:
            raise
        elsewhere = _broadcast(waker)
        if elsewhere is None:
            raise Unreachable(f"no name server found: {error}") from None
    return _ask(elsewhere, uri.object, waker, clock, deadline)


def _ask(server: URI, name: str, waker: Waker, clock: Callable[[], float], deadline: float) -> URI:
    connection = Connection.open(server, waker, clock, deadline)
    try:
        connection.handshake(server.object, "hello", framing.SERPENT, deadline)
        serializer = serializers_by_id[framing.SERPENT]
        call = serializer.dumpsCall(server.object, "lookup", [name], {})
        connection.write(framing.encode_frame(framing.INVOKE, framing.SERPENT, 0, 1, call))
        found = decode_answer(connection.next_frame(deadline))
        return URI(found)
    except NamingError:
        raise Unregistered(f"the name server at {server.location} knows no {name!r}") from None
    except Stopped:
        raise
    except Exception as error:
        why = str(error) or "no answer"
        raise Unreachable(f"the name server at {server.location}: {why}") from error
    finally:
        connection.close()


class Unregistered(EventServiceError):
    """There is a name server, but no event service known to it."""


def _broadcast(waker: Waker) -> URI | None:
    """Ask the network for a name server once, as Pyro5 does it (Pyro5/core.py, locate_ns)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setblocking(False)
        for address in config.BROADCAST_ADDRS:
            with contextlib.suppress(OSError):
                sock.sendto(b"GET_NSURI", (address, config.NS_BCPORT))
        waker.wait(sock, _BROADCAST_WAIT, select.POLLIN)
        try:
            return URI(sock.recv(100).decode("iso-8859-1"))
        except (OSError, PyroError):
            return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
