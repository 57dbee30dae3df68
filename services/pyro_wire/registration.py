"""An object's name in a name server: registered, taken over from a dead holder, and removed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from Pyro5.core import URI
from Pyro5.errors import NamingError, PyroError

from pyro_wire.address import name_server_uri
from pyro_wire.client import Client, NotPyro
from pyro_wire.messages import ConnectRefused, UnexpectedAnswer
from pyro_wire.name_server import NameServerUnreachable, open_name_server

if TYPE_CHECKING:
    from collections.abc import Collection

REGISTER_TIMEOUT = 3.0
"""Seconds for a name server to register a name, besides the time to probe its holder."""
REMOVE_TIMEOUT = 2.0
"""Seconds for a name server to remove it."""
PROBE_TIMEOUT = 2.0
"""Seconds for the holder of a name to answer."""


class NameTaken(Exception):
    """Another object has the name, and answers; the text has both."""


class Registration:
    """The name of one object. May be used by several threads.

    `incarnation` is the id of our daemon, which it answers to the handshake `handshake` as
    `{"incarnation": …}`. `tls` tells that a holder may serve TLS (see `probe`). `address` is the
    name server's (see `name_server_uri`); no broadcast is ever sent, since a name server that
    merely happens to be in the network is not ours. Raises AddressError.
    """

    def __init__(
        self,
        name: str,
        uri: str,
        incarnation: str,
        address: str | None,
        *,
        handshake: object,
        log: logging.Logger,
        metadata: Collection[str] = (),
        tls: bool = False,
    ) -> None:
        self.name = name
        self._uri = uri
        self._incarnation = incarnation
        self._server = name_server_uri(address)
        self._handshake = handshake
        self._log = log
        self._metadata = metadata
        self._tls = tls
        self._tried = False
        self.held = False
        """Whether the name was ours when the name server last answered."""

    @property
    def where(self) -> str:
        """The name server's address."""
        return str(self._server.location)

    def register(self, address: str | None = None) -> None:
        """Register the name, unless an object that answers holds it.

        `address` is that of another name server, to move to. Raises NameServerUnreachable,
        NameTaken and AddressError.
        """
        if address is not None:
            self._server = name_server_uri(address)
        with open_name_server(self._server, REGISTER_TIMEOUT) as server:
            holder = server.lookup(self.name)
            if holder is not None and holder != self._uri:
                server.deadline += PROBE_TIMEOUT
                self._check_dead(holder)
            self._tried = True  # from here on it may be there, even if no answer comes
            try:
                server.register(self.name, self._uri, self._metadata)
            except NamingError as error:
                raise NameTaken(str(error)) from None
        again, self.held = self.held or address is not None, True
        level = logging.INFO if again else logging.DEBUG  # a program's first output says it
        self._log.log(level, "registered as %s in the name server at %s", self.name, self.where)

    def remove(self) -> None:
        """Remove the name if it is still ours; a name server that is gone has forgotten it."""
        self.held = False
        if not self._tried:
            return
        try:
            with open_name_server(self._server, REMOVE_TIMEOUT) as server:
                if server.lookup(self.name) == self._uri:
                    server.remove(self.name)
        except NameServerUnreachable as error:
            self._log.info("can't remove the name %s: %s", self.name, error)

    def _check_dead(self, holder: str) -> None:
        answer = probe(holder, self._handshake, tls=self._tls)
        if answer is None:
            self._log.warning("took %s over from %s, which is dead", self.name, holder)
        elif answer != self._incarnation:
            raise NameTaken(f"the name {self.name} belongs to {holder}, which answers")


def probe(
    uri: str, handshake: object, timeout: float = PROBE_TIMEOUT, *, tls: bool = False
) -> str | None:
    """Return the incarnation of the daemon that has the object of `uri`, "" if it has none.

    None means that no daemon with that object answers. A refusal for another reason, such as a
    wrong identification, is an answer; so is, with `tls`, what doesn't speak Pyro.
    """
    try:
        with Client(URI(uri), timeout, handshake) as client:
            answer: Any = client.greeting
    except NotPyro:
        return "" if tls else None
    except ConnectRefused as refusal:
        return None if refusal.object_unknown else ""
    except UnexpectedAnswer:
        return ""
    except (OSError, PyroError):
        return None
    return str(answer.get("incarnation", "")) if isinstance(answer, dict) else ""
