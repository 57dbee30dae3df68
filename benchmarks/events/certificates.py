"""Certificates for runs with TLS."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_certificates(directory: Path) -> str:
    """Return a directory with a certificate for localhost, of a CA that is made with it."""
    from pyroctl.certs.names import checked_host  # noqa: PLC0415 - only these runs need the extra
    from pyroctl.certs.site import create_site  # noqa: PLC0415 - the same

    now = datetime.now(UTC)
    site = create_site(str(directory / "certs"), "benchmark", now)
    site.issue("es", [checked_host("localhost")], now, 1, replace=False)
    return site.folder("es")
