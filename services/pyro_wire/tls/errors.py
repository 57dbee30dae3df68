"""Why a TLS connection can't be made, in sentences.

OpenSSL's reasons are short and don't name what was compared. `explain` adds what both certificates
say: until when, for which hosts, from which CA. It is a function of its arguments.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyro_wire.tls.certificate import Certificate, read_certificate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

SHOWN: Final = 16
"""Digits of a fingerprint in a sentence."""
_OTHER: Final = "the other side"
# X509_V_ERR_… of x509_vfy.h, which `ssl` passes on as `verify_code`
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_CA: Final = frozenset({2, 18, 19, 20, 21})
_WRONG_PURPOSE: Final = 26
_WRONG_HOST: Final = frozenset({62, 64})
NOT_TLS: Final = f"{_OTHER} doesn't speak TLS"
"""What `explain` returns in that case."""
_NO_COMMON: Final = f"{_OTHER} speaks no version of TLS that is accepted here"
_SENTENCES: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": f"{_OTHER} has sent no certificate",
    "WRONG_VERSION_NUMBER": NOT_TLS,
    "HTTP_REQUEST": NOT_TLS,
    "UNKNOWN_PROTOCOL": NOT_TLS,
    "RECORD_LAYER_FAILURE": NOT_TLS,
    "UNSUPPORTED_PROTOCOL": _NO_COMMON,
    "NO_SHARED_CIPHER": _NO_COMMON,
    "VERSION_TOO_LOW": _NO_COMMON,
    "KEY_VALUES_MISMATCH": "the key doesn't belong to the certificate",
    "UNEXPECTED_EOF_WHILE_READING": f"{_OTHER} has closed the connection during the TLS handshake",
}
_MOST_HOSTS: Final = 5
_LONGEST: Final = 64
"""Characters of a name in a sentence; strangers make the certificates that are refused."""


class Known(NamedTuple):
    """What one side of a connection knows when it fails."""

    now: datetime
    """With a time zone."""
    host: str | None = None
    """The host that a client wanted to reach."""
    own: Certificate | None = None
    """The certificate that this side has presented."""
    ca: Certificate | None = None
    """The CA that this side trusts."""
    peer: Sequence[Certificate] = ()
    """What the other side has sent, its own certificate first, as far as that is known."""


def explain(error: OSError, known: Known) -> str:
    """Return a sentence, without a full stop, about why a handshake has failed.

    Raises nothing, whatever the error is. Any thread may call it.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _refused_here(error, known)
    reason = str(getattr(error, "reason", None) or "")
    _, is_alert, alert = reason.partition("_ALERT_")
    if is_alert:
        return _refused_there(alert, known)
    if reason in _SENTENCES:
        return _SENTENCES[reason]
    if isinstance(error, ssl.SSLEOFError | ConnectionError):
        return _SENTENCES["UNEXPECTED_EOF_WHILE_READING"]
    return f"the TLS handshake has failed: {_words(reason) or error}"


def not_allowed(peer: Certificate, removed: datetime | None) -> str:
    """Return the sentence for a valid certificate whose key is not in clients.toml.

    `removed` is the time at which it was thrown out, if it was.
    """
    if removed is not None:
        return f"{_called('the certificate', peer)} was removed on {_text(removed)}"
    return (
        f"{_called('the certificate', peer)} is not allowed: its key {_short(peer.fingerprint)}"
        " is not in clients.toml"
    )


def peer_chain(tls: ssl.SSLSocket | ssl.SSLObject) -> list[Certificate]:
    """Return what the other side has sent, its own certificate first, also if it was refused.

    On a server OpenSSL forgets a certificate that it refuses, so the list is empty.
    """
    source: Any = tls if hasattr(tls, "get_unverified_chain") else getattr(tls, "_sslobj", None)
    try:  # Python < 3.13 has it on the inner object, which is gone once the connection is closed
        return list(_read(source.get_unverified_chain() or ()))
    except (AttributeError, ValueError, OSError):
        return []


def _read(chain: Iterable[Any]) -> Iterable[Certificate]:
    der = 2
    for one in chain:
        yield read_certificate(one if isinstance(one, bytes) else one.public_bytes(der))


def _refused_here(error: ssl.SSLCertVerificationError, known: Known) -> str:
    """Return why this side has refused the other's certificate."""
    leaf = known.peer[0] if known.peer else None
    it = _called(f"{_OTHER}'s certificate", leaf)
    match error.verify_code:
        case 10:
            return _expired(it, known)
        case 9:
            since = f": it begins on {_text(leaf.begin)}" if leaf and leaf.begin > known.now else ""
            return f"{it} is not valid yet{since}, and the clock here shows {_text(known.now)}"
        case code if code in _WRONG_HOST:
            hosts = _hosts(leaf) or "no host" if leaf else "other hosts"
            return f"{it} is for {hosts}, and not for {known.host or 'this host'}"
        case code if code in _UNKNOWN_CA:
            theirs = _ca_of(known.peer)
            ours = _short(known.ca.key_id) if known.ca else None
            both = [f"theirs is {theirs}"] if theirs else []
            both += [f"ours is {ours}"] if ours else []
            return f"{it} is from another CA" + (f" ({', '.join(both)})" if both else "")
        case code if code == _WRONG_PURPOSE:
            return f"{it} is not for this purpose (its extended key usage)"
    return f"{it} was refused: {error.verify_message}"


def _expired(it: str, known: Known) -> str:
    for position, one in enumerate(known.peer):
        if one.end <= known.now:
            what = it if position == 0 else f"the CA of {it}"
            return f"{what} expired on {_text(one.end)}"
    if known.ca is not None and known.ca.end <= known.now:
        return f"the CA of {it} expired on {_text(known.ca.end)}"
    return f"{it}, or that of its CA, has expired"


def _refused_there(alert: str, known: Known) -> str:
    """Return why the other side has refused ours, as far as its alert tells."""
    own = known.own
    it = _called("our certificate", own)
    match alert:
        case "CERTIFICATE_EXPIRED":
            if own is None:
                why = "it has expired"
            elif own.end <= known.now:
                why = f"it expired on {_text(own.end)}"
            else:
                why = (
                    f"it has expired or is not valid yet by the clock there, and here it is valid"
                    f" until {_text(own.end)}"
                )
        case "UNKNOWN_CA":
            issuer = f" ({_short(own.issuer)})" if own and own.issuer else ""
            why = f"it knows another CA than ours{issuer}"
        case "CERTIFICATE_REQUIRED":
            return f"{_OTHER} wants a certificate, and we have none"
        case "HANDSHAKE_FAILURE" if own is None:
            return (
                f"{_OTHER} wants a certificate, and we have none, or it accepts no cipher of ours"
            )
        case "BAD_CERTIFICATE" | "CERTIFICATE_UNKNOWN" | "UNSUPPORTED_CERTIFICATE":
            hosts = _hosts(own) if own else ""
            why = f"it may want another host than {hosts}" if hosts else _words(alert)
        case "UNEXPECTED_MESSAGE":  # `tls.NOT_HERE`
            return NOT_TLS
        case "PROTOCOL_VERSION" | "HANDSHAKE_FAILURE" | "INSUFFICIENT_SECURITY":
            return f"{_OTHER} accepts no version of TLS or no cipher that is used here"
        case _:
            return f"{_OTHER} has ended the TLS handshake: {_words(alert)}"
    return f"{_OTHER} refuses {it}: {why}"


def _ca_of(peer: Sequence[Certificate]) -> str | None:
    """Return the shown key of the CA that has issued the other side's certificate."""
    found = peer[0].issuer if peer else None
    if found is None and len(peer) > 1:
        found = peer[-1].key_id
    return _short(found) if found else None


def _called(what: str, certificate: Certificate | None) -> str:
    return f"{what} ({_shown(certificate.name)})" if certificate and certificate.name else what


def _hosts(certificate: Certificate) -> str:
    listed = [_shown(host) for host in certificate.hosts[:_MOST_HOSTS]]
    more = [f"{len(certificate.hosts) - _MOST_HOSTS} more"] * (len(certificate.hosts) > _MOST_HOSTS)
    return ", ".join(listed + more)


def _shown(name: str) -> str:
    text = name if name.isprintable() else ascii(name)[1:-1]
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _short(fingerprint: str) -> str:
    return fingerprint if len(fingerprint) <= SHOWN else f"{fingerprint[:SHOWN]}…"


def _text(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")
