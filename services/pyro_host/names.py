"""The object's name in a Pyro name server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from Pyro5 import config
from Pyro5.core import NAMESERVER_NAME, URI
from Pyro5.errors import NamingError, PyroError

from pyro_host.daemon import PROBE
from pyro_host.errors import CannotServe
from pyro_wire.raw_proxy import ConnectRefused, RawProxy

if TYPE_CHECKING:
    from collections.abc import Callable

NAME_SERVER_PATIENCE = 4.0
"""Seconds for a name server to answer."""
PARTING_PATIENCE = 2.0
"""The same when the name is to be removed: somebody waits for the end."""
PROBE_PATIENCE = 2.0
"""Seconds for the holder of the name to show that it lives."""

_log = logging.getLogger("pyro_host")


class Registration:
    """Holds a name for one object.

    `location` is the name server's `HOST:PORT`, or None for Pyro5's configuration (NS_HOST and
    NS_PORT); nothing is ever broadcast. `incarnation` tells our daemon from any other. Not for
    several threads at once. Raises CannotServe for a location that makes no sense.
    """

    def __init__(
        self,
        name: str,
        uri: str,
        metadata: frozenset[str],
        location: str | None,
        incarnation: str,
    ) -> None:
        self.name = name
        self._uri = uri
        self._metadata = metadata
        self._incarnation = incarnation
        self._server = name_server_uri(location)
        self._tried = False
        self.held = False
        """Whether the name was ours when we last heard of it."""

    @property
    def where(self) -> str:
        """The name server's host and port."""
        return str(self._server.location)

    def register(self, location: str | None = None) -> None:
        """Take the name, over from an object that doesn't answer if need be.

        `location` moves to another name server first. Raises CannotServe: no name server answers,
        or another object has the name, and it answers.
        """
        if location is not None:
            self._server = name_server_uri(location)

        def take(server: RawProxy) -> None:
            holder = _holder(server, self.name)
            if holder is not None and holder != self._uri:
                self._take_over(holder)
            self._tried = True  # from here on it may be there, even if no answer comes
            server.call("register", self.name, self._uri, metadata=self._metadata or None)

        self._ask(take)
        self.held = True
        _log.info("registered as %s in the name server at %s", self.name, self.where)

    def remove(self) -> None:
        """Remove the name if it is still ours; a name server that is gone has forgotten it."""
        self.held = False
        if not self._tried:
            return

        def remove(server: RawProxy) -> None:
            if _holder(server, self.name) == self._uri:
                server.call("remove", self.name)

        try:
            self._ask(remove, PARTING_PATIENCE)
        except CannotServe as fault:
            _log.info("the name can't be removed: %s", fault)

    def _take_over(self, holder: str) -> None:
        answer = probe(holder)
        if answer is None:
            _log.warning("took %s over from %s, which is dead", self.name, holder)
        elif answer != self._incarnation:
            raise CannotServe(
                f"the name {self.name} belongs to {holder}, which answers: "
                "stop that one, or choose another pyro_name"
            )

    def _ask(
        self, questions: Callable[[RawProxy], None], patience: float = NAME_SERVER_PATIENCE
    ) -> None:
        try:
            with RawProxy(self._server, patience) as server:
                questions(server)
        except (OSError, PyroError, ConnectRefused) as error:
            raise CannotServe(
                f"can't register {self.name}: no name server answers at {self.where}: "
                f"{getattr(error, 'strerror', None) or error}"
            ) from None


def name_server_uri(location: str | None) -> URI:
    """Give the name server's URI for `HOST:PORT` or `HOST`, or None for Pyro5's setting."""
    if location is None:
        location = f"{config.NS_HOST}:{config.NS_PORT}"
    port = "" if location.rpartition(":")[2].isdigit() else f":{config.NS_PORT}"
    try:
        return URI(f"PYRO:{NAMESERVER_NAME}@{location}{port}")
    except PyroError as error:
        raise CannotServe(
            f"{location!r} is no place of a name server: {error}; write HOST:PORT", permanent=True
        ) from None


def _holder(server: RawProxy, name: str) -> str | None:
    try:
        return str(server.call("lookup", name))
    except NamingError:
        return None


def probe(uri: str) -> Any:
    """Say who answers at a URI: our kind of daemon by its incarnation, another one by anything.

    None means that nobody does, or that the daemon there doesn't know the object. A refusal for
    another reason is an answer.
    """
    try:
        with RawProxy(URI(uri), PROBE_PATIENCE, PROBE) as there:
            return there.greeting or "somebody"
    except ConnectRefused as refusal:
        return None if "unknown object" in str(refusal) else "somebody"
    except (OSError, PyroError):
        return None
