"""Makes and reads certificates: bytes in, bytes out. The one module that imports cryptography.

A key is identified everywhere by the SHA-256 of its public half (SubjectPublicKeyInfo), which is
also the key identifier in certificates (RFC 7093, 2, method 4). So a certificate shows which CA has
issued it, and a renewed one has the fingerprint of before.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import cryptography
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pyroctl.certs.lifetime import Lifetime, new_lifetime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from pyroctl.certs.names import Host

if int(cryptography.__version__.partition(".")[0]) < 42:  # noqa: PLR2004 - times with a zone
    raise ImportError("cryptography is too old", name="cryptography")

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_SIGNING = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_SIGNING_ALONE = ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


class UnusableError(Exception):
    """A certificate, a key or a request can't be used; the message is a part of a sentence."""


class Certificate(NamedTuple):
    """What a certificate says."""

    name: str
    kind: str
    """`ca`, `server` or `client`."""
    hosts: tuple[Host, ...]
    lifetime: Lifetime
    fingerprint: str
    issuer: str | None
    """The key identifier of the issuer, in hex: of a CA made here, its fingerprint."""
    pem: bytes


class Authority(NamedTuple):
    """A CA that can issue."""

    certificate: x509.Certificate
    key: _SIGNING | _SIGNING_ALONE
    site: str

    @property
    def lifetime(self) -> Lifetime:
        """When the CA's own certificate is valid."""
        return _lifetime(self.certificate)

    def issue(
        self,
        name: str,
        hosts: Sequence[Host],
        public_key: CertificatePublicKeyTypes,
        now: datetime,
        days: int,
    ) -> bytes:
        """Return a certificate in PEM: of a server for these hosts, without any of a client.

        Raises PyroctlError if the CA isn't valid now.
        """
        use = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            _builder(_common_name(name), public_key, new_lifetime(now, days, self.lifetime))
            .issuer_name(self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(use), critical=False)
            .add_extension(_alternative_names(self.site, name, hosts), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier(_key_id(self.certificate), None, None), critical=False
            )
        )
        return _signed(builder, self.key)

    def sign_request(
        self, request: bytes, name: str, hosts: Sequence[Host], now: datetime, days: int
    ) -> bytes:
        """Return a certificate for the key of a request; names in the request don't count.

        Raises UnusableError if its signature is wrong, or the key is not an ECDSA key on P-256.
        """
        try:
            found = x509.load_pem_x509_csr(request)
            key = found.public_key()
            valid = found.is_signature_valid
        except (ValueError, UnsupportedAlgorithm) as error:
            raise UnusableError(f"is not a certificate request: {error}") from None
        if not valid:
            raise UnusableError("is not signed by its own key")
        if not (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"):
            raise UnusableError("has a key other than ECDSA on P-256")
        return self.issue(name, hosts, key, now, days)

    def renew(self, old: bytes, now: datetime, days: int | None = None) -> bytes:
        """Return a certificate for the same key, name and hosts, as long as before by default."""
        before = read_certificate(old)
        key = x509.load_pem_x509_certificate(old).public_key()
        days = before.lifetime.days() if days is None else days
        return self.issue(before.name, before.hosts, key, now, max(days, 1))


def create_authority(site: str, now: datetime, days: int) -> tuple[bytes, bytes]:
    """Return the certificate and the key of a new CA, which can't issue other CAs."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _common_name(f"{site} CA")
    builder = (
        _builder(name, key.public_key(), new_lifetime(now, days))
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
    )
    return _signed(builder, key), _key_pem(key)


def load_authority(certificate: bytes, key: bytes, site: str) -> Authority:
    """Return a CA from PEM: its certificate, which its issuers may follow, and its key.

    Raises UnusableError if it can't issue certificates that OpenSSL accepts.
    """
    chain = _load_chain(certificate)
    found, private = chain[0], _load_key(key)
    if not isinstance(private, _SIGNING | _SIGNING_ALONE):
        raise UnusableError("has a key of another type than ECDSA, RSA or EdDSA")
    if private.public_key() != found.public_key():
        raise UnusableError("doesn't belong to the key")
    constraints = _extension(found, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise UnusableError("is not the certificate of a CA")
    usage = _extension(found, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise UnusableError("must not sign certificates (its key usage)")
    if chain[-1].issuer != chain[-1].subject:
        raise UnusableError("is of an intermediate CA, and its issuers don't follow in the file")
    return Authority(found, private, site)


def new_key() -> tuple[bytes, CertificatePublicKeyTypes]:
    """Return a new private key in PEM, and its public half."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _key_pem(key), key.public_key()


def make_request(key: bytes, name: str) -> bytes:
    """Return a certificate request in PEM for a private key; raises UnusableError."""
    private = _load_key(key)
    builder = x509.CertificateSigningRequestBuilder().subject_name(_common_name(name))
    return builder.sign(cast("_SIGNING", private), hashes.SHA256()).public_bytes(pem.Encoding.PEM)


def read_certificate(source: bytes) -> Certificate:
    """Return what a certificate in PEM says, the first of several; raises UnusableError."""
    try:
        return _read(source)
    except ValueError as error:
        raise UnusableError(f"is not a valid certificate: {error}") from None


def _read(source: bytes) -> Certificate:
    found = _load_chain(source)[0]
    constraints = _extension(found, x509.BasicConstraints)
    names = _extension(found, x509.SubjectAlternativeName)
    hosts: list[Host] = []
    if names is not None:
        hosts += names.get_values_for_type(x509.DNSName)
        addresses = names.get_values_for_type(x509.IPAddress)
        hosts += [one for one in addresses if isinstance(one, IPv4Address | IPv6Address)]
    common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    issuer = _extension(found, x509.AuthorityKeyIdentifier)
    return Certificate(
        str(common[0].value) if common else "",
        "ca" if constraints and constraints.ca else "server" if hosts else "client",
        tuple(hosts),
        _lifetime(found),
        _fingerprint(found.public_key()),
        issuer.key_identifier.hex() if issuer and issuer.key_identifier else None,
        source,
    )


def issued_by(certificate: Certificate, ca: bytes) -> bool:
    """Return whether the signature of a certificate is that of the CA; raises UnusableError."""
    issuer = _load_chain(ca)[0]
    try:
        x509.load_pem_x509_certificate(certificate.pem).verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _builder(
    subject: x509.Name, key: CertificatePublicKeyTypes, lifetime: Lifetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(lifetime.begin)
        .not_valid_after(lifetime.end)
        .add_extension(x509.SubjectKeyIdentifier(bytes.fromhex(_fingerprint(key))), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, key: _SIGNING | _SIGNING_ALONE) -> bytes:
    digest = hashes.SHA256() if isinstance(key, _SIGNING) else None
    return builder.sign(key, digest).public_bytes(pem.Encoding.PEM)


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative_names(site: str, name: str, hosts: Sequence[Host]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = [
        x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host) for host in hosts
    ]
    uri = f"pyro://{site}/client/{name}"
    return x509.SubjectAlternativeName(names or [x509.UniformResourceIdentifier(uri)])


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_id(certificate: x509.Certificate) -> bytes:
    """Return the key identifier of a CA, which its certificate may state."""
    found = _extension(certificate, x509.SubjectKeyIdentifier)
    return found.digest if found else bytes.fromhex(_fingerprint(certificate.public_key()))


def _fingerprint(key: CertificatePublicKeyTypes) -> str:
    der = key.public_bytes(pem.Encoding.DER, pem.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _lifetime(certificate: x509.Certificate) -> Lifetime:
    return Lifetime(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _load_chain(source: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(source)
    except ValueError as error:
        raise UnusableError(f"is not a certificate in PEM: {error}") from None


def _load_key(source: bytes) -> object:
    try:
        return pem.load_pem_private_key(source, password=None)
    except TypeError:
        raise UnusableError("has a key that is protected by a password") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableError(f"has no private key in PEM: {error}") from None


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
