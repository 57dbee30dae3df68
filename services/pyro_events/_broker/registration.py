"""The event service's name in the name server. Blocking, with a deadline on everything."""

from __future__ import annotations

import logging
import socket
import time
from typing import TYPE_CHECKING, Any, Literal, Self

import serpent
from Pyro5 import config
from Pyro5.client import Proxy
from Pyro5.core import NAMESERVER_NAME, URI
from Pyro5.errors import NamingError, PyroError

from pyro_events._broker.errors import NameServerUnreachable, NameTaken, ServiceFault
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME_SERVER_PATIENCE = 2.0
"""Seconds for each answer of a name server."""
PROBE_PATIENCE = 2.0
"""Seconds for the holder of the name to show that it lives."""

_ANSWER_SIZE = 1 << 20
_log = logging.getLogger("pyro_events")


class Registration:
    """Holds the name for one event service.

    `location` is the name server's `HOST:PORT` or `PYRO:` URI; None takes Pyro5's configuration
    (NS_HOST and NS_PORT). Nothing is ever broadcast: a name server that merely happens to be in
    the network is not ours. Raises ServiceFault for a location that makes no sense. May be used
    by several threads.
    """

    def __init__(self, location: str | None, uri: str, incarnation: str) -> None:
        self._uri = uri
        self._incarnation = incarnation
        self._server = name_server_uri(location)
        self._tried = False
        self.held = False
        """Whether the name was ours when we last heard of it."""

    def register(self, location: str | None = None) -> None:
        """Take the name, over from a service that doesn't answer if need be.

        `location` moves to another name server first. Raises NameServerUnreachable, or NameTaken
        if another event service has the name and answers.
        """
        if location is not None:
            self._server = name_server_uri(location)
        with _NameServer(self._server) as server:
            holder = server.lookup()
            if holder is not None and holder != self._uri:
                self._take_over(holder)
            self._tried = True  # from here on it may be there, even if no answer comes
            server.register(self._uri)
        self.held = True
        _log.info("registered as %s in the name server at %s", EVENTSERVICE_NAME, self.where)

    def remove(self) -> None:
        """Remove the name if it is still ours; a name server that is gone has forgotten it."""
        self.held = False
        if not self._tried:
            return
        try:
            with _NameServer(self._server) as server:
                if server.lookup() == self._uri:
                    server.remove()
        except NameServerUnreachable as fault:
            _log.info("the name can't be removed: %s", fault)

    def hand_over(self) -> dict[str, object]:
        """Say everything; for a process that goes on for this one, and has the same URI."""
        return {"server": str(self._server), "tried": self._tried, "held": self.held}

    @classmethod
    def take_over(cls, values: Mapping[str, Any], uri: str, incarnation: str) -> Registration:
        """Hold the name that another process holds for the same event service."""
        made = cls(values["server"], uri, incarnation)
        made._tried, made.held = values["tried"], values["held"]
        return made

    @property
    def where(self) -> str:
        """The name server's host and port."""
        return str(self._server.location)

    def _take_over(self, holder: str) -> None:
        answer = probe(holder)
        if answer == "nobody":
            _log.warning("took %s over from %s, which is dead", EVENTSERVICE_NAME, holder)
        elif answer != self._incarnation:
            raise NameTaken(
                f"another event service is registered already, and it answers: {holder}",
                hint="stop that one first, or run this one without a name server: -N",
            )


def name_server_uri(location: str | None) -> URI:
    """Give the name server's URI for `HOST:PORT`, `HOST`, a URI, or None for Pyro5's setting."""
    if location is None:
        location = f"{config.NS_HOST}:{config.NS_PORT}"
    text = location
    if not location.upper().startswith("PYRO:"):
        port = "" if location.rpartition(":")[2].isdigit() else f":{config.NS_PORT}"
        text = f"PYRO:{NAMESERVER_NAME}@{location}{port}"
    try:
        uri = URI(text)
    except PyroError as error:
        raise _no_place(location, str(error)) from None
    if not (uri.host or uri.sockname):
        raise _no_place(location, "it names no host")
    return uri


def _no_place(location: str, why: str) -> ServiceFault:
    return ServiceFault(
        f"{location!r} is no place of a name server: {why}",
        hint="write HOST:PORT, such as localhost:9090",
    )


class _NameServer:
    """A connection to the name server, with errors of ours."""

    def __init__(self, uri: URI) -> None:
        self._proxy = Proxy(uri)
        self._proxy._pyroTimeout = NAME_SERVER_PATIENCE  # noqa: SLF001 - Pyro5's public name for it
        self._where = uri.location

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy._pyroRelease()  # noqa: SLF001 - Pyro5's public name for it

    def lookup(self) -> str | None:
        """Give the URI that is registered under our name."""
        try:
            return str(self._call("lookup", EVENTSERVICE_NAME))
        except NamingError:
            return None

    def register(self, uri: str) -> None:
        self._call("register", EVENTSERVICE_NAME, uri)

    def remove(self) -> None:
        self._call("remove", EVENTSERVICE_NAME)

    def _call(self, method: str, *args: str) -> Any:
        try:
            return getattr(self._proxy, method)(*args)
        except NamingError:
            raise
        except (PyroError, OSError, AttributeError) as error:
            raise NameServerUnreachable(
                f"no name server answers at {self._where}: {_reason(error)}",
                hint=(
                    "start one with pyro5-ns, say where it is with --ns HOST:PORT, "
                    "or do without one: -N"
                ),
            ) from None


def _reason(error: BaseException) -> str:
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(error)


def probe(uri: str, patience: float = PROBE_PATIENCE) -> Literal["nobody"] | str:  # noqa: PYI051 - the word matters
    """Say who answers at a URI: an event service's incarnation, "nobody", or "" for somebody.

    An answer counts even when it is a refusal, such as for a wrong identification; only that the
    object is unknown there says that its daemon is another one by now.
    """
    try:
        target = URI(uri)
        frame = _greet(target, time.monotonic() + patience)
    except (OSError, PyroError, framing.ProtocolError):
        return "nobody"
    if frame.type != framing.CONNECTOK:
        return "nobody" if b"unknown object" in frame.data else ""
    try:
        answer = serpent.loads(frame.data)["handshake"]
        return str(answer["incarnation"]) if isinstance(answer, dict) else ""
    except (ValueError, SyntaxError, KeyError, TypeError):
        return ""


def _greet(target: URI, deadline: float) -> framing.Frame:
    greeting = {
        "handshake": {"pyro_events": 1, "role": "publisher", "ident": None},
        "object": target.object,
    }
    with _connect(target, deadline) as sock:
        sock.sendall(
            framing.encode_frame(framing.CONNECT, framing.SERPENT, 0, 0, serpent.dumps(greeting))
        )
        reader = framing.FrameReader(_ANSWER_SIZE)
        for data in _received(sock, deadline):
            reader.feed(data)
            frame = reader.next_frame()
            if frame is not None:
                return frame
    raise ConnectionError("closed without an answer")


def _connect(target: URI, deadline: float) -> socket.socket:
    patience = max(0.01, deadline - time.monotonic())
    if target.sockname is None:
        return socket.create_connection((target.host, target.port), patience)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(patience)
        sock.connect(target.sockname)
    except OSError:
        sock.close()
        raise
    return sock


def _received(sock: socket.socket, deadline: float) -> Iterator[bytes]:
    while True:
        sock.settimeout(max(0.01, deadline - time.monotonic()))
        data = sock.recv(1 << 16)
        if not data or time.monotonic() > deadline:
            return
        yield data
