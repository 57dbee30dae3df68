"""The one-time tokens by which a host joins a site: the string, the proof and the rules. Pure.

A joining host connects to the address in the string with TLS, and goes on only if the CA's key has
the fingerprint of the string. Both sides send a nonce of `NONCE` random bytes; the host proves by
`proof` that it has the secret, without sending it. The proof covers the server's certificate, so
that it is worth nothing to a server in between.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import tomllib
import zlib
from datetime import datetime
from typing import NamedTuple

from pyroctl.certs.names import checked_address, checked_host, checked_name
from pyroctl.errors import UsageError

NONCE = 32
SECRET = 16
MOST_WRONG = 3
"""Wrong proofs end a token."""
ID = 4
_FORMAT = 1
_HASH = 32
_CRC = 4


class JoinString(NamedTuple):
    """What a joining host has to know: `HOST:PORT/DATA`, with a checksum against typing errors."""

    address: str
    ca: str
    """The fingerprint of the CA, in hex."""
    id: str
    secret: bytes

    def __str__(self) -> str:
        data = bytes([_FORMAT]) + bytes.fromhex(self.ca) + bytes.fromhex(self.id) + self.secret
        data += _checksum(self.address, data)
        return f"{self.address}/{base64.urlsafe_b64encode(data).decode().rstrip('=')}"


def parse_join_string(text: str) -> JoinString:
    """Return the parts of a join string; raise UsageError if it is damaged, which names no part."""
    address, _, encoded = text.strip().partition("/")
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    body, checksum = data[:-_CRC], data[-_CRC:]
    if data and data[0] != _FORMAT:
        raise UsageError("the join string was made by another version of pyroctl")
    if len(body) != 1 + _HASH + ID + SECRET or checksum != _checksum(address, body):
        raise UsageError(
            "the join string is damaged", hint="copy all of what pyroctl certs token has printed"
        )
    ca, token, secret = body[1 : 1 + _HASH], body[1 + _HASH : -SECRET], body[-SECRET:]
    return JoinString(checked_address(address), ca.hex(), token.hex(), secret)


def _checksum(address: str, data: bytes) -> bytes:
    return zlib.crc32(address.encode() + b"/" + data).to_bytes(_CRC, "big")


def proof(secret: bytes, client_nonce: bytes, server_nonce: bytes, certificate: bytes) -> bytes:
    """Return the proof that a host has the secret; `certificate` is the server's, in DER.

    Raises ValueError if a nonce has another length, since then the parts could be shifted.
    """
    if not len(client_nonce) == len(server_nonce) == NONCE:
        raise ValueError(f"a nonce has {NONCE} bytes")
    parts = (client_nonce, server_nonce, hashlib.sha256(certificate).digest())
    return hmac.digest(secret, b"pyroctl join 1\0" + b"".join(parts), "sha256")


class Token(NamedTuple):
    """A certificate that was promised to whoever proves to have the secret in time."""

    name: str
    hosts: tuple[str, ...]
    """Of a server; a client has none."""
    secret: bytes
    expires: datetime
    wrong: int = 0
    """Wrong proofs so far."""


class Tokens(NamedTuple):
    """All tokens, by their id."""

    tokens: dict[str, Token]

    def add(self, id_: str, token: Token, now: datetime) -> Tokens:
        """Add a token; it replaces an earlier one for the same name, and expired ones go."""
        kept = self.without(token.name).current(now).tokens
        return Tokens({**kept, id_: token})

    def current(self, now: datetime) -> Tokens:
        """Return those that have not expired."""
        return Tokens({id_: one for id_, one in self.tokens.items() if now < one.expires})

    def without(self, name: str) -> Tokens:
        """Return those for other names."""
        return Tokens({id_: one for id_, one in self.tokens.items() if one.name != name})

    def redeem(
        self, join: JoinProof, certificate: bytes, now: datetime
    ) -> tuple[Tokens, Token | Refusal]:
        """Check a proof; return the tokens that are left, and the token or why it is refused.

        The caller must have stored the tokens that are left before it acts on the answer.
        """
        current = self.current(now)
        token = current.tokens.get(join.id)
        if token is None:
            gone = "has expired" if join.id in self.tokens else "is unknown, or was used"
            return current, Refusal(f"the token {gone}")
        rest = {id_: one for id_, one in current.tokens.items() if id_ != join.id}
        right = proof(token.secret, join.client_nonce, join.server_nonce, certificate)
        if hmac.compare_digest(right, join.proof):
            return Tokens(rest), token
        wrong = token.wrong + 1
        if wrong < MOST_WRONG:
            return Tokens({**rest, join.id: token._replace(wrong=wrong)}), Refusal("wrong secret")
        return Tokens(rest), Refusal(f"wrong secret, {MOST_WRONG} times: the token has ended")

    def to_toml(self) -> str:
        """Return the text of the file."""
        import tomli_w

        tables = {
            id_: {**one._asdict(), "hosts": list(one.hosts), "secret": one.secret.hex()}
            for id_, one in self.tokens.items()
        }
        return "# Written by pyroctl certs token.\n" + tomli_w.dumps(tables)


class JoinProof(NamedTuple):
    """What a joining host presents, and the nonces of this connection."""

    id: str
    client_nonce: bytes
    server_nonce: bytes
    proof: bytes


class Refusal(NamedTuple):
    """Why a host can't join."""

    reason: str


def parse_tokens(source: str) -> Tokens:
    """Return the content of a file; raise ValueError with a sentence about what is wrong."""
    return Tokens({id_: _token(id_, value) for id_, value in tomllib.loads(source).items()})


def _token(id_: str, value: object) -> Token:
    match value:
        case {
            "name": str(name),
            "hosts": list(hosts),
            "secret": str(secret),
            "expires": datetime() as expires,
            "wrong": int(wrong),
        } if expires.tzinfo:
            try:
                for host in hosts:
                    checked_host(str(host))
                names = tuple(map(str, hosts))
                return Token(checked_name(name), names, bytes.fromhex(secret), expires, wrong)
            except UsageError as error:
                raise ValueError(error.message) from None
    raise ValueError(f"the token {id_} must have name, hosts, secret, expires and wrong")
