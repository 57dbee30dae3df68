"""What the manager has to know of a certificate, read with the standard library alone. Pure.

OpenSSL or `authority` has checked the certificate before; nothing is verified here.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

from pyroctl.certs.lifetime import Lifetime

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_VERSION, _UTC_TIME, _LONG = 0xA0, 0x17, 0x80


class Facts(NamedTuple):
    """What a certificate says about its key and its time."""

    fingerprint: str
    """The SHA-256 of the public key (SubjectPublicKeyInfo), in hex."""
    lifetime: Lifetime


def first_certificate(pem: bytes) -> bytes:
    """Return the first certificate of a PEM file in DER; raises ValueError without one."""
    _, found, rest = pem.decode("ascii", "replace").partition(BEGIN)
    body, ended, _ = rest.partition(END)
    if not (found and ended):
        raise ValueError("there is no certificate in PEM")
    return base64.b64decode(body)


def read_facts(der: bytes) -> Facts:
    """Return the facts of a certificate (RFC 5280, 4.1); raises ValueError for anything else."""
    try:
        return _read(der)
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"not a certificate: {error}") from None


def _read(der: bytes) -> Facts:
    _, position, _ = _element(der, _element(der, 0)[1])
    tag, _, end = _element(der, position)
    position = end if tag == _VERSION else position
    for _ in ("serial number", "signature", "issuer"):
        position = _element(der, position)[2]
    _, begin, position = _element(der, position)
    _, _, middle = _element(der, begin)
    lifetime = Lifetime(_time(der, begin), _time(der, middle))
    position = _element(der, position)[2]  # the subject
    key = der[position : _element(der, position)[2]]
    return Facts(hashlib.sha256(key).hexdigest(), lifetime)


def _element(data: bytes, start: int) -> tuple[int, int, int]:
    """Return the tag of an element, and where its content begins and ends."""
    tag, length, position = data[start], data[start + 1], start + 2
    if length >= _LONG:
        size = length - _LONG
        length = int.from_bytes(data[position : position + size], "big")
        position += size
    if position + length > len(data):
        raise ValueError("not a certificate: it is cut off")
    return tag, position, position + length


def _time(data: bytes, start: int) -> datetime:
    tag, begin, end = _element(data, start)
    text = data[begin:end].decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year (RFC 5280, 4.1.2.5.1)
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
