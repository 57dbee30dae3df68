"""The rules of certificates: names, lifetimes, who is let in, and the signing itself."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from pyroctl.certs import authority
from pyroctl.certs.authority import UnusableError
from pyroctl.certs.clients import Clients, Removal, parse_clients
from pyroctl.certs.lifetime import CA_DAYS, Lifetime, State, new_lifetime
from pyroctl.certs.names import checked_address, checked_host, checked_name
from pyroctl.errors import PyroctlError, UsageError
from pyroctl.paths import certs_directory

NOW = datetime(2027, 1, 31, 12, 0, 0, 999, tzinfo=UTC)
KEYS = ["ab" * 32, "cd" * 32, "ef" * 32]


@given(st.text())
def test_a_name_is_safe_or_refused(text):
    """As a directory, in a URI and on a terminal."""
    try:
        name = checked_name(text)
    except UsageError as error:
        refusal = error.message
    else:
        refusal = ""
    if refusal:
        assert refusal.isprintable()
        return
    assert Path(name).name == name == text
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set("/\\:?#[]!$&'()*+,;=% ~")
    assert 0 < len(name) <= 60


@pytest.mark.parametrize("text", ["a", "lab-pc.example.org", "A_1", "10.0.0.1", "fd00::1", "x1.2a"])
def test_hosts(text):
    """Names in lower case, and addresses."""
    assert str(checked_host(text)) == text.lower()


@pytest.mark.parametrize(
    "text", ["", ".", "a.", "-a", "a..b", "a b", "a\n", "é", "1.2.3", "a:1", "[::1]", "x" * 64]
)
def test_what_is_not_a_host(text):
    """Each is refused, and shown so that it can't disturb a terminal."""
    with pytest.raises(UsageError) as caught:
        checked_host(text)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("text", ["a:1", "10.0.0.1:65535", "[fd00::1]:9100"])
def test_addresses(text):
    """They stay as they are."""
    assert checked_address(text) == text


@pytest.mark.parametrize("text", ["a", "a:", ":1", "a:0", "a:65536", "a:1x", "fd00::1:9", "[a]:1"])
def test_what_is_not_an_address(text):
    """Each is refused."""
    with pytest.raises(UsageError):
        checked_address(text)


def test_a_lifetime_begins_early_and_ends_with_the_ca():
    """For hosts with a slow clock; a certificate never outlives the CA."""
    ca = new_lifetime(NOW, CA_DAYS)
    assert NOW - ca.begin > timedelta(minutes=59)
    assert new_lifetime(NOW, 10, ca).begin == ca.begin
    late = ca.end - timedelta(days=3)
    assert new_lifetime(late, 365, ca).end == ca.end
    for wrong in (ca.begin - timedelta(seconds=1), ca.end):
        with pytest.raises(PyroctlError):
            new_lifetime(wrong, 1, ca)
    assert new_lifetime(NOW, 365).days() == 365


@pytest.mark.parametrize(
    ("days", "left", "state"),
    [
        (365, 366, State.NOT_YET_VALID),
        (365, 31, State.VALID),
        (365, 30, State.DUE),
        (365, 0, State.EXPIRED),
        (30, 11, State.VALID),
        (30, 10, State.DUE),
    ],
)
def test_states(days, left, state):
    """Due are the last 30 days, or the last third of a short life; that is after `renewal`."""
    end = NOW + timedelta(days=days)
    lifetime = Lifetime(NOW, end)
    assert lifetime.state(end - timedelta(days=left)) is state
    assert lifetime.state(lifetime.renewal - timedelta(seconds=1)) is State.VALID


def test_clients_survive_their_file():
    """What is written is read again: keys, removals and their times."""
    clients = Clients("lab", {}, {}).allow("b", KEYS[0], NOW).allow("a", KEYS[1], NOW)
    clients = clients.remove("b", NOW)
    assert clients.removed == {KEYS[0]: Removal("b", NOW.replace(microsecond=0))}
    assert parse_clients(clients.to_toml()) == clients


def test_one_key_for_a_name():
    """A new key ends the one before; the same key again changes nothing, and ends its removal."""
    first = Clients("lab", {}, {}).allow("a", KEYS[0], NOW)
    assert first.allow("a", KEYS[0], NOW) == first
    second = first.allow("a", KEYS[1], NOW)
    assert (second.keys, list(second.removed)) == ({"a": KEYS[1]}, [KEYS[0]])
    assert second.allow("a", KEYS[0], NOW).keys == {"a": KEYS[0]}
    with pytest.raises(KeyError):
        first.remove("b", NOW)


@given(st.text())
def test_any_file_of_clients(text):
    """Is read, or refused with a ValueError."""
    with contextlib.suppress(ValueError):
        parse_clients(text)


def authority_of(days: int = CA_DAYS) -> authority.Authority:
    return authority.load_authority(*authority.create_authority("lab", NOW, days), "lab")


def csr(key, name: str = "x") -> x509.CertificateSigningRequest:
    common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return x509.CertificateSigningRequestBuilder().subject_name(common).sign(key, digest)


def test_a_request_gets_a_certificate_for_the_names_that_were_promised():
    """Not for those that are in the request."""
    key, _ = authority.new_key()
    signed = authority_of().sign_request(
        authority.make_request(key, "root"), "pc", [checked_host("pc"), checked_host("::1")], NOW, 9
    )
    found = authority.read_certificate(signed)
    assert (found.name, found.kind, list(map(str, found.hosts))) == ("pc", "server", ["pc", "::1"])
    assert found.lifetime.end == NOW.replace(microsecond=0) + timedelta(days=9)


@pytest.mark.parametrize(
    "key",
    [
        lambda: rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate,
        lambda: ec.generate_private_key(ec.SECP384R1()),
    ],
    ids=["rsa", "ed25519", "p384"],
)
def test_requests_with_another_key(key):
    """Only ECDSA on P-256 is signed."""
    pem = csr(key()).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(UnusableError, match="other than ECDSA on P-256"):
        authority_of().sign_request(pem, "a", [], NOW, 1)


def test_requests_that_are_not_their_own():
    """A wrong signature, and no request at all."""
    good = csr(ec.generate_private_key(ec.SECP256R1())).public_bytes(serialization.Encoding.DER)
    for position in (-1, -10):
        bad = bytearray(good)
        bad[position] ^= 1
        try:
            pem = x509.load_der_x509_csr(bytes(bad)).public_bytes(serialization.Encoding.PEM)
        except ValueError:
            continue
        with pytest.raises(UnusableError, match="not signed by its own key"):
            authority_of().sign_request(pem, "a", [], NOW, 1)
    with pytest.raises(UnusableError, match="is not a certificate request"):
        authority_of().sign_request(b"nonsense", "a", [], NOW, 1)


def test_a_renewed_certificate_differs_in_its_dates_only():
    """Key, names and length of life stay; the CA shows by its fingerprint."""
    ca = authority_of()
    _, public = authority.new_key()
    old = authority.read_certificate(ca.issue("pc", [checked_host("pc")], public, NOW, 90))
    later = NOW + timedelta(days=200)
    new = authority.read_certificate(ca.renew(old.pem, later))
    assert new._replace(lifetime=old.lifetime, pem=old.pem) == old
    assert new.lifetime == Lifetime(*(time + timedelta(days=200) for time in old.lifetime))
    ca_pem = ca.certificate.public_bytes(serialization.Encoding.PEM)
    assert new.issuer == authority.read_certificate(ca_pem).fingerprint
    assert authority.issued_by(new, ca_pem)
    other, _ = authority.create_authority("lab", NOW, 1)
    assert not authority.issued_by(new, other)


def test_a_ca_can_not_make_another_one():
    """Its path length is 0, and its key is protected by no password."""
    ca = authority_of().certificate
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (
        (True, True, 0)
    )
    _, key = authority.create_authority("lab", NOW, 1)
    locked = serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    pem = ca.public_bytes(serialization.Encoding.PEM)
    with pytest.raises(UnusableError, match="protected by a password"):
        authority.load_authority(pem, locked, "lab")


def test_an_intermediate_ca_needs_its_issuers():
    """Otherwise OpenSSL would refuse all that it issues."""
    root, _ = authority.create_authority("root", NOW, 9)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "middle")])
    middle = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.load_pem_x509_certificate(root).subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(UnusableError, match="intermediate CA"):
        authority.load_authority(middle, private, "lab")
    assert authority.load_authority(middle + root, private, "lab").site == "lab"


def test_where_the_certificates_are(monkeypatch):
    """Below the root, or in the data directory of the user; root has that of the machine."""
    assert certs_directory("/srv/a", {}) == "/srv/a/certs"
    assert certs_directory(None, {"XDG_DATA_HOME": "/d"}) == "/d/pyroctl/certs"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert certs_directory(None, {}) == "/var/lib/pyroctl/certs"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/me")
    assert certs_directory(None, {}) == "/home/me/.local/share/pyroctl/certs"
