"""Proof, to a manager's name server, that a client is one of the manager's own services.

The manager gives both of them a key, which a service never sends: it greets the name server as in
`challenge`, for one connection.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING, Final

from pyro_wire import challenge

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = "PYROCTL_NAMES_KEY"
_NAME_SERVER: Final = "Pyro.NameServer"
_REMEMBERED: Final = 10_000
"""Greetings; more in a minute are not believed."""


def greeting(environ: Mapping[str, str], address: object) -> str | None:
    """Return the greeting for a name server at the address of a connected socket, if we can."""
    key = environ.get(VARIABLE)
    if key is None:
        return None
    return challenge.make_greeting(
        key.encode(),
        "",
        now=time.time(),
        nonce=secrets.token_hex(challenge.NONCE_SIZE),
        object_id=_NAME_SERVER,
        location=challenge.location(address),
    )


class NamesKey:
    """The name server's end. May be used by several threads."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._key = environ.get(VARIABLE)
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}
        """Greetings that were used, and until when they would be valid."""

    def is_ours(self, data: object, address: object) -> bool:
        """Return whether a client has greeted with the key, at our own end of its connection."""
        found = challenge.parse_greeting(data)
        if self._key is None or found is None:
            return False
        here, now = challenge.location(address), time.time()
        if not found.is_proof(self._key.encode(), _NAME_SERVER, here):
            return False
        if not -challenge.VALID <= found.time - now <= challenge.VALID:
            return False
        with self._lock:
            self._used = {nonce: end for nonce, end in self._used.items() if end >= now}
            if found.nonce in self._used or len(self._used) >= _REMEMBERED:
                return False
            self._used[found.nonce] = found.time + challenge.VALID
        return True
