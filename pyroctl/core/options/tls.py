"""TLS of the kinds of services that are ours."""

from __future__ import annotations

from dataclasses import dataclass

from pyroctl.core.key_types import (  # noqa: TC001 - `core.keys` reads the types
    File,
    TlsMode,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """TLS of a service of ours."""

    tls: TlsMode = "off"
    """TLS for clients over TCP: none, beside plain connections, or only TLS."""
    tls_certificate: File | None = None
    """None: that of this host in the site's directory."""
    tls_key: File | None = None
    """None: key.pem beside the certificate."""
    tls_ca: File | None = None
    """None: ca.pem beside the certificate."""
    tls_clients: File | None = None
    """None: clients.toml beside the certificate, or of the site."""
