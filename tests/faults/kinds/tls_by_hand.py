"""What `ssl` never sends: records under keys of our own, endless ClientHellos, long chains."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

APPLICATION, HANDSHAKE = 23, 22
"""Types of records (RFC 8446, 5.1)."""
OVERHEAD = 17
"""Bytes that encryption adds to what a record contains: its type, and a tag."""
KEY_UPDATE = bytes.fromhex("18 000001 01")
"""Asks for an answer of the same kind (RFC 8446, 4.6.3)."""
_VERSION = b"\x03\x03"
_FULL = 16 << 10


def record(kind: int, content: bytes) -> bytes:
    """Return a record that isn't encrypted."""
    return bytes([kind]) + _VERSION + len(content).to_bytes(2, "big") + content


def long_hello(size: int) -> bytes:
    """Return a ClientHello of that many bytes, in records of 16 KiB."""
    content = b"\x01" + size.to_bytes(3, "big") + _VERSION + bytes(size - 2)
    parts = [content[at : at + _FULL] for at in range(0, len(content), _FULL)]
    return b"".join(record(HANDSHAKE, part) for part in parts)


class ClientKeys:
    """The keys of a client of TLS 1.3 after its handshake, with AES-GCM (RFC 8446, 7)."""

    def __init__(self, key_log: str) -> None:
        """Take the secret from the lines that `SSLContext.keylog_filename` asks for."""
        words = [line.split() for line in key_log.splitlines()]
        (secret,) = [bytes.fromhex(w[2]) for w in words if w[0] == "CLIENT_TRAFFIC_SECRET_0"]
        self._secret = secret
        self._digest = "sha384" if len(secret) == 48 else "sha256"
        self._sequence = 0

    def seal(self, content: bytes, kind: int = HANDSHAKE) -> bytes:
        """Return the next record."""
        key = self._expand("key", 32 if self._digest == "sha384" else 16)
        static = int.from_bytes(self._expand("iv", 12), "big")
        nonce = (static ^ self._sequence).to_bytes(12, "big")
        self._sequence += 1
        head = record(APPLICATION, bytes(len(content) + OVERHEAD))[:5]
        return head + AESGCM(key).encrypt(nonce, content + bytes([kind]), head)

    def update(self) -> bytes:
        """Return a KeyUpdate, after which other keys are used."""
        sealed = self.seal(KEY_UPDATE)
        self._secret, self._sequence = self._expand("traffic upd", len(self._secret)), 0
        return sealed

    def _expand(self, label: str, size: int) -> bytes:
        """Return HKDF-Expand-Label with an empty context, for no more than one digest."""
        name = b"tls13 " + label.encode()
        info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0\x01"
        return hmac.digest(self._secret, info, self._digest)[:size]


def chain(length: int) -> bytes:
    """Return `length` certificates in PEM, that of a client first, and the key of all of them."""
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = b""
    for number in range(length):
        subject, issuer = (
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, str(n))])
            for n in (number, min(number + 1, length - 1))
        )
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(number + 1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=number > 0, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem += made.public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return pem + key.private_bytes(serialization.Encoding.PEM, *form)
