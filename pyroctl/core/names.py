"""The names in one name server as the manager knows them, and whose they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pyroctl.core.spec import EventServiceOptions, ObjectOptions

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from pyroctl.core.spec import Options

Ends = tuple[tuple[str, int], tuple[str, int]]
"""Both ends of a connection, the client's first: addresses and ports."""

NAME_SERVER = "Pyro.NameServer"
"""The name server's own name, which it registers by itself."""
EVENT_SERVICE = "Pyro.EventService"
NAME_SERVER_VARIABLES = {"PYRO_NS_HOST": "localhost", "PYRO_NS_PORT": "9090"}
"""Where Pyro5 looks for a name server, with its defaults."""
GONE = -1
"""The owner of a name whose process has ended, and which may still be in the name server."""
NOBODY: Mapping[str, Any] = MappingProxyType({})
LARGEST_BATCH = 16_384
"""Characters; a question with more might not fit the buffer of a control socket."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What a name server has under a name."""

    uri: str
    metadata: tuple[str, ...] = ()
    owner: int | None = None
    """The pid of the service's process that listens there; None: no service of the deployment."""
    strange: bool = False
    """Whether a client has registered it that isn't a process of the deployment."""


class NameTable:
    """The names of one name server. They are kept when it ends, until it reports them again."""

    def __init__(self) -> None:
        self._known: dict[str, Registration] = {}
        self._new: set[str] = set()
        """Names whose owner nobody has looked for yet."""
        self._registrars: dict[str, Ends] = {}
        """The connections of clients that have registered names, and nobody has looked for yet."""
        self._protected: set[str] = set()
        self._found: dict[str, int] = {}
        """Whose the locations are at which a service was found."""

    def update(
        self,
        names: Mapping[str, Any],
        *,
        complete: bool,
        registrars: Mapping[str, Any] = NOBODY,
    ) -> None:
        """Take over what the name server has reported: [URI, metadata], or None if removed.

        `complete`: there are no other names. Names of one location have one owner. `registrars` has
        the ends of the connections of clients that may be strangers, None if they have ended.
        """
        before = self._known
        self._known = {} if complete else dict(before)
        self._protected -= self._protected if complete else names.keys()
        for name, entry in names.items():
            if entry is None:
                self._known.pop(name, None)
            elif name != NAME_SERVER:
                uri, metadata = entry
                owner = self._found.get(location(uri))
                old = before.get(name)
                if owner is None and complete and old is not None and old.uri == uri:
                    owner = old.owner
                made = Registration(uri, tuple(metadata), owner)
                same = old is not None and (old.uri, old.metadata) == (uri, made.metadata)
                strange = name in registrars and not (same and old is not None and not old.strange)
                self._known[name] = replace(made, strange=strange)
                if owner is None:
                    self._new.add(name)
                if strange and registrars[name] is not None:
                    client, server = registrars[name]
                    self._registrars[name] = tuple(client), tuple(server)

    def new(self) -> dict[str, str]:
        """Return name and URI of what has no owner and wasn't returned before."""
        new, self._new = self._new, set()
        return {name: uri for name, uri in self.foreign().items() if name in new}

    def registrars(self) -> dict[str, Ends]:
        """Return the ends of connections, by what was registered over them and not returned before.

        What is known of their clients goes to `acknowledge`.
        """
        found, self._registrars = self._registrars, {}
        return found

    def acknowledge(self, names: Iterable[str]) -> None:
        """Note that processes of the deployment have registered these names."""
        for name in names:
            if name in self._known:
                self._known[name] = replace(self._known[name], strange=False)

    def settle(self, found: Mapping[str, int | None]) -> None:
        """Note who listens at which URI now; nobody means that an earlier owner is gone."""
        for uri, owner in found.items():
            if owner is not None:
                self._found[location(uri)] = owner
            else:
                self._found.pop(location(uri), None)
        for name, known in self._known.items():
            if known.uri in found:
                owner = found[known.uri]
                if owner is None and known.owner is not None:
                    owner = GONE
                self._known[name] = replace(known, owner=owner)

    def unprotected(self) -> dict[str, str]:
        """Return name and URI of what belongs to living owners, and wasn't returned before.

        What a stranger has registered isn't protected, or nobody else could take it back.
        """
        names = {
            name: known.uri
            for name, known in sorted(self._known.items())
            if known.owner not in {None, GONE} and not known.strange and name not in self._protected
        }
        self._protected |= names.keys()
        return names

    def ended(self, pids: Container[int]) -> None:
        """Note that processes listen nowhere any more."""
        self._found = {at: owner for at, owner in self._found.items() if owner not in pids}

    def uris(self, owners: Container[int] | None = None) -> dict[str, str]:
        """Return the URIs by name, of all or of these owners."""
        return {
            name: known.uri
            for name, known in self._known.items()
            if owners is None or known.owner in owners
        }

    def drop(self, names: Iterable[str]) -> None:
        """Forget names."""
        for name in names:
            self._known.pop(name, None)

    def foreign(self) -> dict[str, str]:
        """Return name and URI of what belongs to no service, in the order of the names."""
        known = sorted(self._known.items())
        return {name: each.uri for name, each in known if each.owner is None}

    def dead(self, alive: Container[int]) -> dict[str, str]:
        """Return name and URI of what belongs to processes that are not alive."""
        return {
            name: known.uri
            for name, known in self._known.items()
            if known.owner is not None and known.owner not in alive
        }

    def strange(self, names: Iterable[str]) -> list[str]:
        """Return those of the names that strangers have registered."""
        return [name for name in names if name in self._known and self._known[name].strange]

    def restorable(self, alive: Container[int]) -> dict[str, list[Any]]:
        """Return what belongs to living processes, as the name server takes it."""
        return {
            name: [known.uri, known.metadata]
            for name, known in self._known.items()
            if known.owner in alive
        }


def names_here(options: Options) -> tuple[str, ...]:
    """Return the names that the service keeps in the deployment's own name server."""
    match options:
        case EventServiceOptions(ns=None):
            return (EVENT_SERVICE,)
        case ObjectOptions(ns=None):
            return options.all_names
    return ()


def location(uri: str) -> str:
    """Return `HOST:PORT` or `./u:PATH` of a URI."""
    return uri.rpartition("@")[2]


def name_server_of(env: Mapping[str, str]) -> str:
    """Return HOST:PORT of the name server that a Pyro5 program looks for in this environment."""
    host, port = (env.get(name) or default for name, default in NAME_SERVER_VARIABLES.items())
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def batches(names: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Divide a table of names, so that each part fits into one question."""
    batch: dict[str, Any] = {}
    size = 0
    for name, value in names.items():
        length = len(name) + len(str(value))
        if batch and size + length > LARGEST_BATCH:
            yield batch
            batch, size = {}, 0
        batch[name] = value
        size += length
    if batch:
        yield batch
