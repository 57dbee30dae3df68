"""Proofs that both ends of a connection have the same secret, which itself is never sent.

A helper and an event service prove it to each other, the service first, so that a helper tells a
false one nothing. A and B are nonces, 32 random bytes in hexadecimal; NAME is that of the secret,
or "" for one without a name; I is the service's incarnation:

    CONNECT    {"pyro_events": 2, "role": …, "nonce": A, "name": NAME, …}
    CONNECTOK  {"pyro_events": 2, "incarnation": I, "version": …, "nonce": B, "proof": SERVER}
    INVOKE     authenticate(CLIENT)
    RESULT     None

    SERVER = proof("pyro_events server", NAME, A, B, I)
    CLIENT = proof("pyro_events client", NAME, A, B, I)

A stock Pyro5 proxy can say only one thing, before the daemon has said any. Its greeting says when
it was made, and is valid for 30 s, once, for one object at one address. `:NAME` is left out of a
greeting with a secret that has no name:

    CONNECT    v1:TIME:NONCE:PROOF:NAME

    PROOF = proof("pyro_events greeting", "v1", TIME, NONCE, NAME, OBJECT, LOCATION)

TIME is in seconds since 1970. LOCATION is where the connection ends: the numeric address and the
port, or the path of a Unix socket; see `location`.

A proof is HMAC-SHA256 (RFC 2104) in hexadecimal. Its key is the secret's text in UTF-8, its message
the texts in UTF-8, each after its length in four bytes, big-endian: no two lists of texts make the
same message, and the first text is another one for each use. Proofs authenticate connections, and
none of what is sent over them.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import Final, NamedTuple

NONCE_SIZE: Final = 32
"""Random bytes in a nonce."""
VALID: Final = 30.0
"""Seconds that the clocks of both ends may differ, the way of a greeting included."""
_VERSION: Final = "v1"
_PARTS: Final = (4, 5)
_LONGEST: Final = 128
"""Characters of a nonce, a time or a name in a greeting."""


class Challenge(NamedTuple):
    """What a helper and an event service have said, and both prove their secret for."""

    name: str
    client_nonce: str
    server_nonce: str
    incarnation: str

    def server_proof(self, key: bytes) -> str:
        """Return the event service's proof."""
        return _proof(key, "pyro_events server", *self)

    def client_proof(self, key: bytes) -> str:
        """Return the helper's proof."""
        return _proof(key, "pyro_events client", *self)


class Greeting(NamedTuple):
    """The greeting of a stock proxy; times are in seconds since 1970."""

    time: float
    nonce: str
    name: str
    text: str
    """As it was sent."""

    def is_proof(self, key: bytes, object_id: str, location: str) -> bool:
        """Return whether it was made with this key for that object at that location."""
        _, time, nonce, given, *_ = self.text.split(":")
        return matches(given, _greeting_proof(key, time, nonce, self.name, object_id, location))


def make_greeting(
    key: bytes, name: str, *, now: float, nonce: str, object_id: str, location: str
) -> str:
    """Return a greeting for one connection, to be made at once."""
    time = f"{now:.3f}"
    proof = _greeting_proof(key, time, nonce, name, object_id, location)
    return ":".join([_VERSION, time, nonce, proof, *([name] if name else [])])


def parse_greeting(text: object) -> Greeting | None:
    """Return a greeting, not checked yet, or None if it is none."""
    if not isinstance(text, str):
        return None
    parts = text.split(":")
    if len(parts) not in _PARTS or parts[0] != _VERSION or max(map(len, parts)) > _LONGEST:
        return None
    try:
        return Greeting(float(parts[1]), parts[2], parts[4] if parts[4:] else "", text)
    except ValueError:
        return None


def matches(given: object, wanted: str) -> bool:
    """Compare a proof in a time that doesn't tell how much of it is right."""
    return isinstance(given, str) and hmac.compare_digest(_encoded(given), wanted.encode())


def location(address: object) -> str:
    """Return where a connection ends, by its address as sockets give it.

    Both ends call it: with the peer's address, and with their own. A path has to be absolute, and
    free of links.
    """
    if not isinstance(address, tuple):
        return str(address)
    ip = ipaddress.ip_address(address[0].partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return f"[{mapped or ip}]:{address[1]}"


def _greeting_proof(
    key: bytes, time: str, nonce: str, name: str, object_id: str, location: str
) -> str:
    return _proof(key, "pyro_events greeting", _VERSION, time, nonce, name, object_id, location)


def _proof(key: bytes, *texts: str) -> str:
    message = b"".join(len(data).to_bytes(4, "big") + data for data in map(_encoded, texts))
    return hmac.new(key, message, "sha256").hexdigest()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
