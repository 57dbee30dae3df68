"""Where the event service is: URIs, and lookups in the name server.

Name servers are searched in the same order as by `Pyro5.core.locate_ns`, by broadcast only when
asked to. Nothing here can hang: each step has a deadline, and ends at once when the helper is
closed. A helper with TLS looks up over TLS; if the name server has none, it asks without, since
the object at the address that it gets still has to have a certificate for its host.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING, NamedTuple

from Pyro5 import config
from Pyro5.core import URI
from Pyro5.errors import NamingError, PyroError

from pyro_events._client.connection import ConnectionLost
from pyro_events._client.tls_connection import NoTls, open_connection
from pyro_events._client.waker import Stopped
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events._protocol.subjects import check_encodable
from pyro_events.errors import EventServiceError, Unreachable
from pyro_events.tls import load
from pyro_wire import framing
from pyro_wire.address import name_server_uri
from pyro_wire.messages import decode_result, encode_call
from pyro_wire.tls.session import TLS_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._client.waker import Waker
    from pyro_events.tls import Tls
    from pyro_wire.tls.files import TlsIdentity

_BROADCAST_WAIT = 0.7
"""Seconds for an answer."""


class Service(NamedTuple):
    """Where the event service is, and how to get there."""

    uri: URI
    broadcast: bool
    """Whether a name server may be found by broadcast."""
    tls: TlsIdentity | None = None
    """Our certificate, and the CA of the others'."""


def service(
    es: str | None, old: str | None, broadcast: bool, tls: Tls | str | bool | None = None
) -> Service:
    """Return the service that a helper's arguments `es`, `esURI`, `broadcast` and `tls` mean.

    Raises as `parse` and `load`, and TypeError when it is given twice.
    """
    if es is not None and old is not None:
        raise TypeError("es and esURI, its old name, are both given")
    return Service(parse(old if es is None else es), broadcast, load(tls))


def parse(es: str | None) -> URI:
    """Return the URI for `es`; None stands for the event service's name in the name server.

    Raises ValueError for text that isn't a PYRO: or PYRONAME: URI, TypeError for anything else.
    """
    if es is None:
        return URI(f"PYRONAME:{EVENTSERVICE_NAME}")
    if not isinstance(es, (str, URI)):
        raise TypeError(f"es must be a URI as text, not {type(es).__name__}: {es!r:.60}")
    check_encodable(str(es), "es")
    try:
        uri = URI(es)
    except PyroError as error:
        raise ValueError(
            f"es must be a URI like PYRO:{EVENTSERVICE_NAME}@host:port: {error}: {es!r}"
        ) from None
    if uri.protocol not in ("PYRO", "PYRONAME"):
        raise ValueError(f"es must be a PYRO: or PYRONAME: URI, not {es!r}")
    return uri


def resolve(service: Service, waker: Waker, clock: Callable[[], float], deadline: float) -> URI:
    """Return the PYRO: URI behind a PYRONAME: one. Raises Unreachable, Unregistered and Stopped."""
    uri = service.uri
    if uri.protocol == "PYRO":
        return uri
    try:
        return _ask(service, name_server_uri(uri.location), waker, clock, deadline)
    except Unreachable as error:
        if uri.location:
            raise
        elsewhere = _broadcast(waker) if service.broadcast else None
        if elsewhere is None:
            raise Unreachable(f"no name server found: {error}") from None
    return _ask(service, elsewhere, waker, clock, deadline)


def _ask(
    service: Service, server: URI, waker: Waker, clock: Callable[[], float], deadline: float
) -> URI:
    name, tls = service.uri.object, service.tls
    connection = open_connection(tls, server, waker, clock, deadline)
    try:
        try:
            connection.handshake(server.object, "hello", framing.SERPENT, deadline)
        except (NoTls, ConnectionLost):
            if tls is None:
                raise
            return _ask(service._replace(tls=None), server, waker, clock, deadline)
        connection.write(encode_call(server.object, "lookup", [name], {}))
        return URI(decode_result(connection.next_frame(deadline)))
    except NamingError:
        raise Unregistered(f"the name server at {server.location} knows no {name!r}") from None
    except Stopped:
        raise
    except Exception as error:
        why = str(error) or "no answer"
        if tls is None and TLS_ONLY in why:
            why = (
                "it accepts only clients with TLS: give the helper tls=DIRECTORY with a certificate"
                ", as pyroctl certs client makes it, or tls=True for that of this host"
            )
        raise Unreachable(f"the name server at {server.location}: {why}") from error
    finally:
        connection.close()


class Unregistered(EventServiceError):
    """The name server doesn't have the event service's name."""


def _broadcast(waker: Waker) -> URI | None:
    """Broadcast once for a name server, as Pyro5 does (Pyro5/core.py, locate_ns)."""
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
