"""Identification: the secrets by which an event service and its clients know each other.

The text `ident` of helpers and services is what an identification file holds: a
secret in each line, alone or after the name of the client that has it. Neither contains white
space. A service accepts all of them; a client presents the first.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar

from pyro_wire import challenge
from pyro_wire.private_file import open_private

__all__ = ["identified", "read_ident"]

SHORTEST: Final = 16
"""Bytes; a shorter secret can be guessed."""
_LONGEST_NAME: Final = 60
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")
"""As in certificates."""
_HANDSHAKE: Final = "_pyroHandshake"
_UNIX: Final = "./u:"
_log = logging.getLogger(__name__)

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret, and the name of the client that has it, or ""."""

    name: str
    key: bytes = field(repr=False)


def read_ident(file: str) -> str:
    """Return the identification in a file, without the white space around it.

    Raises OSError if the file can't be read, and ValueError if it is empty or no UTF-8, if a line
    isn't a secret or a name and a secret, or if other users can read or write it. Logs a warning if
    a secret is short enough to be guessed. Any thread may call it.
    """
    with open_private(file) as stream:
        content = stream.read()
    ident = content.decode().strip()
    try:
        found = parse_ident(ident)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    for secret in found:
        if len(secret.key) < SHORTEST:
            _log.warning(
                "the secret%s in %s has fewer than %d bytes and can be guessed;"
                " pyroctl secret new makes a better one",
                secret.name and f" of {secret.name}", file, SHORTEST,
            )  # fmt: skip
    return ident


def parse_ident(ident: object) -> list[Secret]:
    """Return the secrets in the text of an identification, at least one.

    Raises TypeError or ValueError, without any secret in its text.
    """
    if not isinstance(ident, str):
        raise TypeError(f"ident must be a str, not {type(ident).__name__}")
    found: dict[str, Secret] = {}
    for number, line in enumerate(ident.splitlines(), 1):
        if not line.strip():
            continue
        *names, text = line.split()
        if len(names) > 1 or not all(map(_is_name, names)):
            raise ValueError(
                f"line {number} of the identification is neither a secret nor a name and a secret"
            )
        name = names[0] if names else ""
        if name in found:
            whose = f"of {name}" if name else "without a name"
            raise ValueError(f"line {number} of the identification is a second secret {whose}")
        try:
            found[name] = Secret(name, text.encode())
        except UnicodeEncodeError as error:
            raise ValueError(f"ident can't be encoded: {error.reason}") from None
    if not found:
        raise ValueError("the identification is empty")
    return list(found.values())


def own_secret(ident: str) -> Secret:
    """Return the secret that a client presents; raises as `parse_ident`."""
    return parse_ident(ident)[0]


def identified(
    proxy: P,
    file: str | os.PathLike[str] | None = None,
    *,
    ident: str | None = None,
    location: str | None = None,
) -> P:
    """Make a stock Pyro5 proxy identify itself to an event service, and return it.

    Each time that it connects it presents a new greeting, which proves that it has the secret, is
    valid for 30 s by the clocks of both ends, and only once; so do its copies. A proxy that is
    pickled or sent elsewhere leaves the secret here. The event service is not asked for a proof; a
    false one learns nothing from the greeting. `file` holds the identification; its text can be
    given instead, as `ident`.

    A greeting is for one address, that of the proxy's URI. The argument `location` replaces it if
    the event service itself is at another one, because an address translation, a container's port
    or a tunnel is between: "192.168.1.5:9099". Raises TypeError or ValueError for a bad argument,
    and what `read_ident` raises for the file.
    """
    if (file is None) == (ident is None):
        raise TypeError("identified() takes a file or ident")
    secret = own_secret(read_ident(os.fspath(file)) if file is not None else str(ident))
    place = None if location is None else _location(location)
    kind = type(proxy)
    if not issubclass(kind, _Identified):
        names = {"__module__": kind.__module__, "_stock": kind}
        own = type(kind.__name__, (_Identified, kind), names)
        object.__setattr__(proxy, "__class__", own)
    vars(proxy)[_HANDSHAKE] = _Greeter(secret, place)
    return proxy


@dataclass(frozen=True, slots=True)
class _Greeter:
    """Makes the greetings of a proxy."""

    secret: Secret
    location: str | None

    def greeting(self, uri: Any) -> str:
        from Pyro5.core import resolve  # noqa: PLC0415 - only for stock proxies

        found = resolve(uri)
        return challenge.make_greeting(
            self.secret.key,
            self.secret.name,
            now=time.time(),
            nonce=secrets.token_hex(challenge.NONCE_SIZE),
            object_id=found.object,
            location=self.location or _peer(found),
        )


class _Identified:
    """What an identified proxy has in common with its copies, besides its own class.

    Serializers name the class of what they send, so this one has the name of the proxy's own.
    """

    _stock: ClassVar[type]
    """The proxy's own class."""

    @property
    def _pyroHandshake(self) -> object:  # noqa: N802 - Pyro5's name
        value = vars(self)[_HANDSHAKE]
        return value.greeting(self._pyroUri) if isinstance(value, _Greeter) else value  # type: ignore[attr-defined] # a proxy has one

    @_pyroHandshake.setter
    def _pyroHandshake(self, value: object) -> None:  # noqa: N802 - the same
        vars(self)[_HANDSHAKE] = value

    def __copy__(self) -> Any:
        copy = super().__copy__()  # type: ignore[misc] # a proxy has it
        vars(copy)[_HANDSHAKE] = vars(self)[_HANDSHAKE]
        return copy

    def __getstate__(self) -> Any:
        twin: Any = object.__new__(self._stock)
        vars(twin).update(vars(self), _pyroConnection=None, _pyroHandshake="hello")
        return twin.__getstate__()

    def __reduce__(self) -> Any:
        return object.__new__, (self._stock,), self.__getstate__()


def _peer(uri: Any) -> str:
    """Return where a connection to a PYRO: URI ends, as Pyro5 resolves its host."""
    from Pyro5.socketutil import get_ip_address  # noqa: PLC0415 - only for stock proxies

    if uri.sockname:
        return challenge.location(os.path.realpath(uri.sockname))
    return challenge.location((str(get_ip_address(uri.host)), uri.port))


def _location(text: str) -> str:
    """Return the location that is written as in a URI; raises ValueError."""
    if text.startswith(_UNIX):
        return text.removeprefix(_UNIX)
    host, _, port = text.rpartition(":")
    return challenge.location((host.strip("[]"), int(port)))


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None
