"""A connection to a Pyro name server (Pyro5/nameserver.py, NameServer)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from Pyro5.errors import NamingError, PyroError

from pyro_wire.client import Client

if TYPE_CHECKING:
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
    """Connect for a `with` block of at most `timeout` seconds. Raises NameServerUnreachable."""
    try:
        with NameServer(uri, timeout) as server:
            yield server
    except (OSError, PyroError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NameServerUnreachable(f"no name server answers at {uri.location}: {reason}") from None
