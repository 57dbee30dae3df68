"""A connection to a Pyro name server (Pyro5/nameserver.py, NameServer)."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from Pyro5.errors import NamingError, PyroError

from pyro_wire import names_key
from pyro_wire.client import Client
from pyro_wire.tls.pinned import FilesUnusable, tls_of_name_server

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection, Iterator

    from Pyro5.core import URI


class NameServerUnreachable(Exception):
    """No name server answers at the address, or not as expected; the text has both."""


class NameServer(Client):
    """A name server as a remote object; errors and threads as of `Client`."""

    def lookup(self, name: str) -> str | None:
        """Return the URI that is registered under the name."""
        try:
            return str(self.call("lookup", name))
        except NamingError:
            return None

    def register(self, name: str, uri: str, metadata: Collection[str] = ()) -> None:
        """Register the name, in the place of what it was registered for."""
        self.call("register", name, uri, metadata=metadata or None)

    def remove(self, name: str) -> None:
        """Remove the name."""
        self.call("remove", name)


@contextlib.contextmanager
def open_name_server(uri: URI, timeout: float) -> Iterator[NameServer]:
    """Connect for a `with` block of at most `timeout` seconds. Raises NameServerUnreachable.

    With TLS if the manager has told so in our environment, see `tls.pinned`. The name server learns
    that we are a service of its manager, if we are: see `names_key`.
    """
    try:
        tls = tls_of_name_server(os.environ)
        with NameServer(uri, timeout, _greeting, tls) as server:
            yield server
    except (OSError, PyroError, FilesUnusable) as error:
        reason = getattr(error, "strerror", None) or error
        raise NameServerUnreachable(f"no name server answers at {uri.location}: {reason}") from None


def _greeting(sock: socket.socket) -> object:
    return names_key.greeting(os.environ, sock.getpeername()) or "hello"
