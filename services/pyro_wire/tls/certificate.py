"""What a certificate says, read from DER with the standard library alone.

Services need a few facts that `ssl` doesn't give: the SHA-256 of the public key, by which
clients.toml knows a client, and anything at all of a certificate that was refused. OpenSSL has
decoded it before; nothing is verified here.
"""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEQUENCE: Final = 0x30
_UTC_TIME: Final = 0x17
_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_DNS, _IP, _KEY_ID = 0x82, 0x87, 0x80
_COMMON_NAME: Final = bytes.fromhex("550403")
_SUBJECT_KEY: Final = bytes.fromhex("551d0e")
_ALTERNATIVE_NAMES: Final = bytes.fromhex("551d11")
_AUTHORITY_KEY: Final = bytes.fromhex("551d23")
_LONG: Final = 0x80
_MOST_LENGTH: Final = 4
"""Bytes of a length."""


class Certificate(NamedTuple):
    """What a certificate says; times are in UTC, fingerprints and key identifiers in hex."""

    name: str
    """The common name of its subject, or empty."""
    hosts: tuple[str, ...]
    """DNS names and addresses for which it is valid."""
    begin: datetime
    end: datetime
    fingerprint: str
    """The SHA-256 of the public key (SubjectPublicKeyInfo)."""
    key_id: str
    """The identifier of its key: of a certificate made by pyroctl the fingerprint."""
    issuer: str | None
    """The identifier of the issuer's key."""


def read_certificate(der: bytes) -> Certificate:
    """Return what a certificate in DER says; raises ValueError for anything else."""
    try:
        return _read(der)
    except (IndexError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"not a certificate: {error}") from None


def _read(der: bytes) -> Certificate:
    certificate = _only(der)
    fields = list(_elements(_only(certificate)))
    if fields[0][0] == _VERSION:
        del fields[0]
    _, _, _, validity, subject, key, *rest = fields
    begin, end = (_time(tag, value) for tag, value, _ in _elements(validity[1]))
    fingerprint = hashlib.sha256(key[2]).hexdigest()
    extensions = next((value for tag, value, _ in rest if tag == _EXTENSIONS), b"")
    found = dict(_extensions(extensions)) if extensions else {}
    subject_key = found.get(_SUBJECT_KEY)
    return Certificate(
        _common_name(subject[1]),
        tuple(_hosts(found.get(_ALTERNATIVE_NAMES, b""))),
        begin,
        end,
        fingerprint,
        _only(subject_key).hex() if subject_key else fingerprint,
        _issuer(found.get(_AUTHORITY_KEY, b"")),
    )


def _elements(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Return tag, content and the whole of each element."""
    position = 0
    while position < len(data):
        start, tag, length = position, data[position], data[position + 1]
        position += 2
        if length >= _LONG:
            size = length - _LONG
            if not 0 < size <= _MOST_LENGTH:
                raise ValueError("not a certificate: a length without an end")
            length = int.from_bytes(data[position : position + size], "big")
            position += size
        if position + length > len(data):
            raise ValueError("not a certificate: it is cut off")
        yield tag, data[position : position + length], data[start : position + length]
        position += length


def _only(data: bytes) -> bytes:
    """Return the content of the first element."""
    for _, content, _ in _elements(data):
        return content
    raise ValueError("not a certificate: something is empty")


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year (RFC 5280, 4.1.2.5.1)
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _common_name(subject: bytes) -> str:
    for _, group, _ in _elements(subject):
        (_, kind, _), (_, value, _) = _elements(_only(group))
        if kind == _COMMON_NAME:
            return value.decode(errors="replace")
    return ""


def _extensions(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Return identifier and value of each extension."""
    for _, extension, _ in _elements(_only(data)):
        (_, kind, _), *_, (_, value, _) = _elements(extension)
        yield kind, value


def _hosts(names: bytes) -> Iterator[str]:
    for tag, value, _ in _elements(_only(names)) if names else ():
        if tag == _DNS:
            yield value.decode(errors="replace")
        elif tag == _IP:
            yield str(ipaddress.ip_address(value))


def _issuer(extension: bytes) -> str | None:
    for tag, value, _ in _elements(_only(extension)) if extension else ():
        if tag == _KEY_ID:
            return value.hex()
    return None
