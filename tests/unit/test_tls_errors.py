"""What a certificate says, and the sentences about TLS connections that can't be made."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_wire.tls.certificate import Certificate, read_certificate
from pyro_wire.tls.errors import Known, explain, not_allowed
from pyroctl.certs import authority
from pyroctl.certs.names import checked_host

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)
HOSTS = ("pc.lab", "10.0.0.1", "fd00::1")
CA_PEM, CA_KEY = authority.create_authority("lab", NOW, 3650)
CA = authority.load_authority(CA_PEM, CA_KEY, "lab")
_, PUBLIC = authority.new_key()
SERVER_PEM = CA.issue("pc", [checked_host(host) for host in HOSTS], PUBLIC, NOW, 365)


def der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


SERVER = read_certificate(der(SERVER_PEM))
SITE = read_certificate(der(CA_PEM))
OTHER = SERVER._replace(issuer="cd" * 20)
LATER = SERVER.end + timedelta(days=9)
KEY = "ab" * 32
HERE = Known(NOW, "elsewhere", SERVER._replace(issuer=KEY), SITE._replace(key_id=KEY), [SERVER])


def refused(code: int, message: str = "because") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


def failed(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] (_ssl.c:1)")
    error.reason = reason
    return error


def test_a_certificate_is_read_as_by_a_library():
    """The facts are those that `cryptography` finds."""
    for pem, found in ((SERVER_PEM, SERVER), (CA_PEM, SITE)):
        truth = authority.read_certificate(pem)
        assert found == Certificate(
            truth.name, tuple(map(str, truth.hosts)), *truth.lifetime, truth.fingerprint,
            truth.fingerprint, truth.issuer,
        )  # fmt: skip
    assert SERVER.issuer == SITE.fingerprint


def test_years_of_two_and_of_four_digits():
    """A certificate changes its format of times in 2050."""
    ca_pem, key = authority.create_authority("lab", NOW, 20000)
    ca = authority.load_authority(ca_pem, key, "lab")
    later = NOW + timedelta(days=18000)
    found = read_certificate(der(ca.issue("a", [], PUBLIC, later, 10)))
    assert (found.begin, found.end) == (later - timedelta(hours=1), later + timedelta(days=10))


@given(st.integers(0, len(der(SERVER_PEM)) - 1), st.integers(0, 255))
def test_changed_bytes_never_crash(position, byte):
    """A certificate of which one byte is another one is read or refused."""
    changed = bytearray(der(SERVER_PEM))
    changed[position] = byte
    for data in (bytes(changed), bytes(changed[:position])):
        with contextlib.suppress(ValueError):
            read_certificate(data)


@given(st.binary())
def test_any_bytes_never_crash(data):
    """They are refused with a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - its text is for nobody
        read_certificate(data)


@pytest.mark.parametrize(
    ("error", "known", "sentence"),
    [
        (refused(62), HERE, "is for pc.lab, 10.0.0.1, fd00::1, and not for elsewhere"),
        (
            refused(64),
            HERE._replace(peer=()),
            "certificate is for other hosts, and not for elsewhe",
        ),
        (refused(10), HERE._replace(now=LATER), "(pc) expired on 2028-01-31 12:00 UTC"),
        (
            refused(10),
            Known(SITE.end, peer=[SERVER._replace(end=SITE.end + timedelta(1)), SITE]),
            "the CA of the other side's certificate (pc) expired on 2037-01-28",
        ),
        (refused(10), Known(LATER), "certificate, or that of its CA, has expired"),
        (
            refused(9),
            HERE._replace(now=NOW - timedelta(days=9)),
            "not valid yet: it begins on 2027-01-31 11:00 UTC, and the clock here shows 2027-01-22",
        ),
        (
            refused(20),
            HERE._replace(peer=[OTHER]),
            f"is from another CA (theirs is {'cd' * 8}…, ours is {KEY[:16]}…)",
        ),
        (refused(19), Known(NOW), "the other side's certificate is from another CA"),
        (refused(26), HERE, "is not for this purpose"),
        (refused(99, "path loop"), HERE, "(pc) was refused: path loop"),
        (failed("PEER_DID_NOT_RETURN_A_CERTIFICATE"), HERE, "has sent no certificate"),
        (
            failed("TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            HERE,
            "wants a certificate, and we have none",
        ),
        (failed("SSLV3_ALERT_CERTIFICATE_EXPIRED"), HERE, "by the clock there"),
        (
            failed("SSLV3_ALERT_CERTIFICATE_EXPIRED"),
            HERE._replace(now=LATER),
            "refuses our certificate (pc): it expired on 2028-01-31",
        ),
        (
            failed("TLSV1_ALERT_UNKNOWN_CA"),
            HERE,
            f"another CA than ours ({KEY[:16]}…)",
        ),
        (failed("SSLV3_ALERT_BAD_CERTIFICATE"), HERE, "may want another host than pc.lab, 10.0"),
        (failed("SSLV3_ALERT_BAD_CERTIFICATE"), Known(NOW), "our certificate: bad certificate"),
        (failed("TLSV1_ALERT_PROTOCOL_VERSION"), HERE, "no version of TLS"),
        (failed("TLSV1_ALERT_INTERNAL_ERROR"), HERE, "ended the TLS handshake: internal error"),
        (failed("WRONG_VERSION_NUMBER"), HERE, "doesn't speak TLS"),
        (failed("BAD_RECORD_TYPE"), HERE, "the TLS handshake has failed: bad record type"),
        (ssl.SSLEOFError(8, "EOF occurred"), HERE, "has closed the connection"),
        (ConnectionResetError(104, "reset"), HERE, "has closed the connection"),
        (TimeoutError("timed out"), HERE, "the TLS handshake has failed: timed out"),
    ],
)
def test_sentences(error, known, sentence):
    """Each has what was compared, as far as it is known."""
    assert sentence in explain(error, known)


def test_nothing_that_a_stranger_wrote_is_shown_raw():
    """Names in refused certificates may contain anything, and any number of hosts."""
    evil = SERVER._replace(name="\x1b[2J" + "x" * 999, hosts=("a\nb",) * 99)
    text = explain(refused(62), HERE._replace(peer=[evil]))
    assert text.isprintable()
    assert "94 more" in text
    assert len(text) < 300


def test_keys_that_are_not_let_in():
    """Removed at a time, or never let in at all."""
    assert not_allowed(SERVER, NOW) == "the certificate (pc) was removed on 2027-01-31 12:00 UTC"
    assert f"its key {SERVER.fingerprint[:16]}… is not in clients.toml" in not_allowed(SERVER, None)


def test_a_server_that_does_not_speak_tls():
    """What OpenSSL makes of a plain answer is understood."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    incoming.write(b"PYRO\x01\xf6 and more of this")
    with pytest.raises(ssl.SSLError) as caught:
        tls.do_handshake()
    assert explain(caught.value, Known(NOW)) == "the other side doesn't speak TLS"
